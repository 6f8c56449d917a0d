# SPDX-License-Identifier: Apache-2.0
"""Where the embedded Triton can run, and what a person is told where it cannot."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
from imagier_server.embedded import wheel
from imagier_server.embedded.wheel import EmbeddedError


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_supported_platforms_pass(machine):
    wheel.check_platform("Linux", machine, (2, 35))


@pytest.mark.parametrize(
    ("system", "machine", "glibc", "text"),
    [
        ("Darwin", "arm64", None, "runs on Linux"),
        ("Linux", "riscv64", (2, 40), "runs on Linux"),
        ("Linux", "x86_64", (2, 34), "needs glibc 2.35; this is glibc 2.34"),
        ("Linux", "x86_64", None, "this is another C library"),
    ],
)
def test_other_platforms_are_told_the_way_out(system, machine, glibc, text):
    with pytest.raises(EmbeddedError, match=text) as caught:
        wheel.check_platform(system, machine, glibc)
    assert "--engine HOST:PORT" in str(caught.value)


@pytest.mark.parametrize(
    ("reported", "expected"), [("glibc 2.36", (2, 36)), ("glibc 2.36.9000", (2, 36)), (None, None)]
)
def test_glibc_version(monkeypatch, reported, expected):
    monkeypatch.setattr(os, "confstr", lambda _: reported)
    assert wheel.glibc_version() == expected


def test_a_missing_wheel_is_told_with_the_command_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setattr(wheel, "FILES", tmp_path / "none")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(EmbeddedError, match="`imagier engine install`"):
        wheel.find()


def test_a_newer_python_is_refused(monkeypatch):
    monkeypatch.setattr(wheel.sys, "version_info", (3, 14, 0))
    with pytest.raises(EmbeddedError, match=r"knows Python 3\.11 to 3\.13; this is 3\.14"):
        wheel.find()


def test_a_missing_libpython_is_told_with_its_package(monkeypatch):
    monkeypatch.setattr(wheel.sys, "version_info", (3, 12))
    monkeypatch.setattr(wheel.sysconfig, "get_config_var", lambda _: None)
    with pytest.raises(EmbeddedError, match=r"apt-get install libpython3\.99"):
        wheel.find_libpython("libpython3.99.so.1.0")


def test_the_parts_are_found_without_importing_the_wheel():
    script = (
        "import sys; from imagier_server.embedded import wheel; parts = wheel.find();"
        "assert parts.server.is_file() and parts.stub.is_file() and parts.libraries.is_dir();"
        "assert (parts.python_backend / 'libtriton_python.so').is_file();"
        "assert 'pytriton' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
