# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a command line is said in a line for each fault, with the flag and the way out."""

from __future__ import annotations

import os

import pytest
from imagier_server.command_line import WrongSettingsError, WrongUsageError, from_arguments

SERVE = "imagier serve"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in filter(lambda name: name.startswith("IMAGIER_"), tuple(os.environ)):
        monkeypatch.delenv(name)


def test_each_fault_has_a_line_with_its_flag() -> None:
    with pytest.raises(WrongSettingsError) as raised:
        from_arguments(["--port", "99999", "--log-level", "loud"], SERVE)
    port, level = str(raised.value).splitlines()
    assert port.startswith("--port: ")
    assert level.startswith("--log-level: ")
    with pytest.raises(WrongUsageError, match="imagier serve --help"):
        from_arguments(["--no-such-flag", "1"], SERVE)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("/no-such-folder/events", "the folder of this file does not exist"),
        ("", "the path of a file"),
        ("ftp://billing.example/events", "http or https"),
        ("https:///events", "http or https"),
        ("https://me:secret@billing.example/events", "--usage-events-token"),
    ],
)
def test_where_usage_cannot_go(where: str, said: str) -> None:
    with pytest.raises(WrongSettingsError, match=said) as raised:
        from_arguments(["--usage-events", where], SERVE)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "unix:/run/imagier.sock"])
def test_an_open_server_may_listen_where_only_this_machine_reaches_it(host: str) -> None:
    assert from_arguments(["--host", host], SERVE).anyone_may_call


def test_nor_does_its_http() -> None:
    with pytest.raises(WrongSettingsError, match=r"--http-host 0\.0\.0\.0 would let anyone"):
        from_arguments(["--http-host", "0.0.0.0"], SERVE)
    assert from_arguments(["--http-host", "0.0.0.0", "--no-http"], SERVE).host == "127.0.0.1"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "photos.example", "::ffff:c000:201"])
def test_an_open_server_does_not_listen_beyond(host: str) -> None:
    with pytest.raises(WrongSettingsError) as raised:
        from_arguments(["--host", host], SERVE)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"--host {host}")
    assert all(flag in line for flag in ("--tls-client-ca", "--insecure-open", "127.0.0.1"))
    assert from_arguments(["--host", host, "--insecure-open"], SERVE).host == host
    closed = ("--tls-certificate", "a", "--tls-key", "b", "--tls-client-ca", "c")
    assert not from_arguments(["--host", host, *closed], SERVE).anyone_may_call


@pytest.mark.parametrize(
    ("flags", "missing"),
    [
        (("--tls-certificate", "a"), "--tls-key"),
        (("--tls-key", "a"), "--tls-certificate"),
        (("--tls-client-ca", "a"), "--tls-certificate"),
    ],
)
def test_half_of_tls_is_refused(flags: tuple[str, str], missing: str) -> None:
    with pytest.raises(WrongSettingsError, match=missing):
        from_arguments(flags, SERVE)
