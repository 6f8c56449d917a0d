# SPDX-License-Identifier: Apache-2.0
"""The wheel comes as files, whole or not at all, by pip or uv. A stand-in for pip makes the files: nothing is fetched here."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path

import pytest
from imagier_server import commands
from imagier_server.embedded import install, wheel
from imagier_server.embedded.wheel import EmbeddedError

# Puts what it was asked for, and how, into the folder that it was given.
PIP = """
import pathlib, sys
arguments = sys.argv[1:]
target = pathlib.Path(arguments[arguments.index("--target") + 1])
(target / "pytriton").mkdir(parents=True)
(target / "pytriton" / "asked").write_text(pathlib.Path(arguments[arguments.index("-r") + 1]).read_text())
(target / "pytriton" / "how").write_text(" ".join(arguments))
"""
BROKEN_PIP = PIP + "sys.exit(1)"


def pip(monkeypatch, tmp_path: Path, code: str) -> Path:
    """Our stand-in, and a folder for the files."""
    (tmp_path / "pip.py").write_text(code, encoding="ascii")
    monkeypatch.setattr(install, "installer", lambda: [sys.executable, str(tmp_path / "pip.py")])
    monkeypatch.setattr(wheel, "FILES", tmp_path / "share" / "triton")
    monkeypatch.setattr(wheel, "find", lambda: "found")
    return tmp_path / "share" / "triton"


def test_it_asks_for_one_wheel_with_its_digests_and_for_no_other_package(monkeypatch, tmp_path):
    files = pip(monkeypatch, tmp_path, PIP)
    assert install.install() == "found"
    asked = (files / "pytriton" / "asked").read_text()
    assert re.findall("^[a-z].*==[0-9.]+", asked, re.MULTILINE) == [f"nvidia-pytriton=={wheel.WHEEL_VERSION}"]
    assert len(re.findall("--hash=sha256:[0-9a-f]{64}", asked)) == 2
    how = (files / "pytriton" / "how").read_text()
    assert {"--no-deps", "--require-hashes", "--only-binary"} <= set(how.split())
    assert [path.name for path in files.parent.iterdir()] == ["triton"]


def test_what_is_there_is_not_fetched_again(monkeypatch, tmp_path):
    pip(monkeypatch, tmp_path, BROKEN_PIP).mkdir(parents=True)
    assert install.install() == "found"


def test_half_a_wheel_is_none(monkeypatch, tmp_path, capfd):
    files = pip(monkeypatch, tmp_path, BROKEN_PIP)
    assert commands.install_engine() == 1
    assert "could not be fetched" in capfd.readouterr().err
    assert list(files.parent.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told(monkeypatch, tmp_path, capfd):
    pip(monkeypatch, tmp_path, PIP)
    (tmp_path / "share").touch()
    assert commands.install_engine() == 1
    assert "cannot be written" in capfd.readouterr().err


def test_a_newer_python_is_refused_before_anything_is_fetched(monkeypatch, tmp_path):
    files = pip(monkeypatch, tmp_path, PIP)
    monkeypatch.setattr(wheel.sys, "version_info", (3, 14, 0))
    with pytest.raises(EmbeddedError, match=r"knows Python 3\.11 to 3\.13; this is 3\.14"):
        install.install()
    assert not files.exists()


def test_an_environment_of_uv_has_no_pip(monkeypatch):
    assert install.installer()[:3] == [sys.executable, "-m", "pip"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    assert install.installer() == ["/bin/uv", "pip", "install", "--python", sys.executable]
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(EmbeddedError, match="ensurepip"):
        install.installer()
