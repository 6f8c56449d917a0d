# SPDX-License-Identifier: Apache-2.0
"""How addresses may be written, and what is said of those that may not; taking one before anything else starts."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from imagier_server import commands, endpoints


@pytest.mark.parametrize(
    ("text", "used", "joined"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1:8500"),
        ("0.0.0.0", "0.0.0.0", "0.0.0.0:8500"),
        ("::1", "::1", "[::1]:8500"),
        ("[::1]", "::1", "[::1]:8500"),
        ("::", "::", "[::]:8500"),
        ("localhost", "localhost", "localhost:8500"),
        ("nas.home.arpa", "nas.home.arpa", "nas.home.arpa:8500"),
        ("unix:/run/imagier.sock", "unix:/run/imagier.sock", "unix:/run/imagier.sock"),
        ("unix:///run/imagier.sock", "unix:/run/imagier.sock", "unix:/run/imagier.sock"),
    ],
)
def test_a_host_to_listen_on(text: str, used: str, joined: str) -> None:
    assert endpoints.listen_host(text) == used
    assert endpoints.joined(used, 8500) == joined


@pytest.mark.parametrize(
    ("flag", "value", "hint"),
    [
        ("host", "", "such as 127.0.0.1"),
        ("host", "http://127.0.0.1", "without http://"),
        ("host", "127.0.0.1:8500", "setting of its own"),
        ("host", "[::1]:8500", "setting of its own"),
        ("host", "[127.0.0.1]", "neither an IP address nor"),
        ("host", "two words", "neither an IP address nor"),
        ("host", "unix:", "path of the socket"),
        ("host", "unix:/" + "x" * 200, "107 bytes"),
        ("metrics-host", "", "such as 127.0.0.1"),
        ("port", "99999", "65535"),
        ("port", "", "integer"),
        ("metrics-port", "-1", "greater than or equal to 0"),
        ("engine", "", "port is missing"),
        ("engine", "triton", "port is missing"),
        ("engine", "[::1]", "port is missing"),
        ("engine", ":8001", "host is missing"),
        ("engine", "triton:99999", "1 to 65535"),
        ("engine", "triton:0", "1 to 65535"),
        ("engine", "triton:grpc", "1 to 65535"),
        ("engine", "http://triton:8001", "without http://"),
        ("engine", "triton:8001,", "port is missing"),
        ("engine", "::1:8001", "in brackets"),
        ("traces", "http://collector:4317", "without http://"),
        ("traces", "collector", "port is missing"),
    ],
)
def test_a_wrong_address_is_a_wrong_usage_that_says_what_to_write(
    flag: str, value: str, hint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagier_server.app.serve", None)  # nothing may start
    assert commands.serve([f"--{flag}={value}"]) == commands.USAGE
    said = capsys.readouterr().err
    assert said.startswith(f"imagier serve: --{flag}: ")
    assert hint in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("text", ["embedded", "a:1", "dns:///b.c:2,[::1]:3", "10.0.0.1:8001,10.0.0.2:8001"])
def test_engines_that_are_ones(text: str) -> None:
    assert endpoints.engines(text) == text


def test_an_address_that_somebody_listens_on_is_noticed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port}"), endpoints.taken("127.0.0.1", port):
            pass


def test_an_address_is_kept_from_others_and_handed_over() -> None:
    with endpoints.taken("127.0.0.1", 0) as (held,):
        port = held.getsockname()[1]
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        with socket.create_server(("127.0.0.1", port)):  # with SO_REUSEADDR, as gRPC
            pass


def test_a_name_that_nobody_has() -> None:
    with pytest.raises(OSError, match="no such host"), endpoints.taken("no-such-host.invalid", 1):
        pass


def test_a_socket_left_behind_is_replaced_and_ours_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(os.fspath(path))
    with endpoints.taken(f"unix:{path}", 0):
        assert not path.exists()
        with socket.socket(socket.AF_UNIX) as ours, endpoints.owner_and_group():
            ours.bind(os.fspath(path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert not path.exists()


def listens(path: Path) -> socket.socket:
    other = socket.socket(socket.AF_UNIX)
    other.bind(os.fspath(path))
    other.listen()
    return other


@pytest.mark.parametrize("there", [listens, lambda path: path.open("w"), lambda path: path.mkdir() or path.open])
def test_what_is_not_left_behind_stays(tmp_path: Path, there: Callable[[Path], object]) -> None:
    path = tmp_path / "socket"
    kept = there(path)
    with pytest.raises(OSError, match="cannot listen"), endpoints.taken(f"unix:{path}", 0):
        pass
    assert path.exists()
    if isinstance(kept, socket.socket):
        kept.close()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="folder does not exist"), endpoints.taken(f"unix:{tmp_path}/none/socket", 0):
        pass
