# SPDX-License-Identifier: Apache-2.0
"""Scrapes are answered whatever the others on that port do, and whatever the rest of the server does."""

from __future__ import annotations

import http.client
import os
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from imagier_server import exposition
from imagier_server.endpoints import taken
from prometheus_client import CollectorRegistry, Gauge


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("imagier_answer", "It.", registry=registry).set(42)
    return registry


@pytest.fixture
def port(registry: CollectorRegistry) -> Iterator[int]:
    with taken("127.0.0.1", 0) as sockets, exposition.exposed(registry, sockets):
        yield sockets[0].getsockname()[1]


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        assert answer.headers["content-type"].startswith("text/plain; version=")
        return str(answer.read().decode())


def test_a_scrape_is_answered_by_a_thread_of_its_own(port: int) -> None:
    assert "imagier_answer 42.0" in scrape(port)  # no event loop runs here


def test_a_crowd_that_says_nothing_takes_neither_threads_nor_the_place_of_a_scrape(port: int) -> None:
    threads = threading.active_count()
    crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
    assert "imagier_answer" in scrape(port)
    assert threading.active_count() == threads
    closed = sum(1 for each in crowd[: -exposition.MAX_CONNECTIONS] if each.recv(1) == b"")
    assert closed == 100 - exposition.MAX_CONNECTIONS, "the oldest are closed"
    for each in crowd:
        each.close()


def test_who_is_slow_has_its_time(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "SECONDS", 0.05)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
        slow.sendall(b"GET /metrics HTTP/1.1\r\n")
        assert slow.recv(1) == b""


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("HEAD", "/metrics", 200),
        ("GET", "/metrics?x=1", 200),
        ("POST", "/", 405),
        ("GET", "/x", 404),
    ],
)
def test_other_requests(port: int, method: str, path: str, status: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path)
    answer = connection.getresponse()
    assert answer.status == status
    assert bool(answer.read()) is (method == "GET" and status == 200)
    connection.close()


@pytest.mark.parametrize("said", [b"\r\n\r\n", b"\xff\0\r\n\r\n", b"x" * 100_000])
def test_what_is_no_http_is_hung_up_on(port: int, said: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as other:
        other.sendall(said)
        answer = b""
        try:
            while more := other.recv(4096):
                answer += more
        except ConnectionResetError:
            pass
        assert answer == b"" or answer.startswith(b"HTTP/1.1 405")
    assert "imagier_answer" in scrape(port)


def test_openmetrics_is_spoken_to_those_who_ask_for_it(port: int) -> None:
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert answer.read().endswith(b"# EOF\n")


def test_a_socket_in_the_file_system(registry: CollectorRegistry, tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    with exposition.exposed(registry, [], os.fspath(path)), socket.socket(socket.AF_UNIX) as client:
        client.connect(os.fspath(path))
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
        assert path.stat().st_mode & 0o777 == 0o660
