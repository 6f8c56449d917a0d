# SPDX-License-Identifier: Apache-2.0
"""Pictures by URL, fetched from a server of our own."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import httpx2 as httpx
import pytest
from support.fake_triton import FakeTriton, serving
from support.made_certificates import Authority
from support.running_gateway import gateway, picture

PICTURE = picture()
FILE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nSet-Cookie: a=b\r\n\r\n%b" % (len(PICTURE), PICTURE)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(PICTURE), PICTURE)
ENDLESS = b"HTTP/1.1 200 OK\r\n\r\n"


class Site:
    """A web server with an answer for each path; `asked` has the heads of requests."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers = {
            "/photo.jpg?size=1": FILE,
            "/chunked": CHUNKED,
            "/endless": ENDLESS,
            "/long": b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n",
            "/gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
            "/gone": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "/busy": b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n",
            "/cut": FILE[:-9],
            "/babble": b"SSH-2.0-OpenSSH\r\n\r\n",
            "/markup": b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 6\r\n\r\n<html>",
        }

    def moved(self, path: str, to: str) -> None:
        self.answers[path] = f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head)
        path = head.split(" ", 2)[1]
        if path == "/slow":
            await reader.read()
        writer.write(self.answers.get(path, b""))
        while path == "/endless" and not writer.is_closing():
            writer.write(bytes(1 << 20))
            try:
                await writer.drain()
            except ConnectionError:
                break
        writer.close()


@pytest.fixture
async def site() -> AsyncIterator[tuple[Site, str]]:
    site = Site()
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0)
    yield site, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.fixture
async def fetching(repository: Path, fake: FakeTriton) -> AsyncIterator[httpx.AsyncClient]:
    options: dict[str, Any] = {
        "http_fetch": True,
        "http_fetch_plain": True,
        "http_fetch_networks": "127.0.0.1/32,127.0.0.3/32",
    }
    async with (
        serving(fake) as engine,
        gateway(repository, engine, 0, **options) as running,
        httpx.AsyncClient(base_url=running.http, trust_env=False, timeout=30) as client,
    ):
        await running.until(ready=True)
        yield client


async def test_a_picture_by_its_url(fetching: httpx.AsyncClient, site: tuple[Site, str]) -> None:
    pages, at = site
    secret = {"authorization": "Bearer secret", "cookie": "c=d"}
    asks = [
        fetching.post("/v1/annotate", json={"url": f"http://{at}/photo.jpg?size=1", "tags": {}}, headers=secret),
        fetching.post("/v1/annotate", data={"url": f"http://{at}/chunked#part", "tasks": "tags"}),
        fetching.post("/v1/annotate", files={"tasks": (None, "tags"), "url": (None, f"http://{at}/chunked")}),
        fetching.post("/v1/annotate", params={"url": f"http://{at}/chunked", "tasks": "tags"}),
    ]
    for answer in await asyncio.gather(*asks):
        assert answer.status_code == 200, answer.text
        assert answer.json()["tags"]["tags"]
    for head in pages.asked:
        assert "secret" not in head
        assert "cookie" not in head.lower()
        assert f"host: {at}" in head.lower()


async def test_redirects_are_few_and_each_is_checked(fetching: httpx.AsyncClient, site: tuple[Site, str]) -> None:
    pages, at = site
    port = at.rpartition(":")[2]
    for number in range(3):
        pages.moved(f"/{number}", f"/{number + 1}" if number < 2 else "/chunked")
    pages.moved("/loop", "/loop")
    pages.moved("/inside", f"http://127.0.0.2:{port}/chunked")
    pages.moved("/decimal", f"http://2130706434:{port}/chunked")
    pages.moved("/metadata", "http://169.254.169.254/latest/")
    pages.moved("/file", "file:///etc/passwd")

    async def ask(path: str) -> tuple[int, str | None]:
        answer = await fetching.post("/v1/annotate", json={"url": f"http://{at}/{path}", "tags": {}})
        return answer.status_code, answer.json().get("reason")

    assert await ask("0") == (200, None)
    assert await ask("loop") == (400, "URL_REFUSED")
    assert await ask("file") == (400, "URL_REFUSED")
    for path in ("inside", "decimal", "metadata"):
        assert await ask(path) == (400, "ADDRESS_REFUSED")


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("endless", 413, "IMAGE_TOO_LARGE"),
        ("long", 413, "IMAGE_TOO_LARGE"),
        ("gzip", 400, "URL_REFUSED"),
        ("gone", 400, "URL_REFUSED"),
        ("busy", 503, "URL_UNAVAILABLE"),
        ("cut", 503, "URL_UNAVAILABLE"),
        ("babble", 503, "URL_UNAVAILABLE"),
        ("nothing", 503, "URL_UNAVAILABLE"),
        ("markup", 400, "INVALID_IMAGE"),
    ],
)
async def test_what_a_server_may_do(
    fetching: httpx.AsyncClient, site: tuple[Site, str], path: str, status: int, reason: str
) -> None:
    answer = await fetching.post("/v1/annotate", json={"url": f"http://{site[1]}/{path}", "tags": {}})
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert ("retry-after" in answer.headers) == (status == 503)
    assert path not in answer.json()["detail"]


async def test_a_slow_server_is_not_waited_for(repository: Path, fake: FakeTriton, site: tuple[Site, str]) -> None:
    options: dict[str, Any] = {"http_fetch": True, "http_fetch_plain": True, "http_fetch_networks": "127.0.0.1/32"}
    async with (
        serving(fake) as engine,
        gateway(repository, engine, 0, **options, http_fetch_seconds=0.5) as running,
        httpx.AsyncClient(base_url=running.http, trust_env=False, timeout=30) as client,
    ):
        await running.until(ready=True)
        answer = await client.post("/v1/annotate", json={"url": f"http://{site[1]}/slow", "tags": {}})
        assert (answer.status_code, answer.json()["reason"]) == (503, "URL_UNAVAILABLE")
        assert int(answer.headers["retry-after"]) >= 1


async def test_urls_that_are_refused_without_a_connection(fetching: httpx.AsyncClient) -> None:
    refused = {
        "URL_REFUSED": [
            "", "photo.jpg", "ftp://example.org/a", "file:///etc/passwd", "http://", "http://u:p@127.0.0.1/", "http://127.0.0.1:22/",
            "http://127.0.0.1:99999/", "http://[::1", "http://ex ample.org/", "http://é.example/", "http://127.0.0.1\\@1.1.1.1/",
            "http://127.0.0.1/\r\nX: y", "http://a..b.invalid/", "http://127.0.0.1/" + "a" * 2048,
        ],
        "ADDRESS_REFUSED": [
            "http://127.0.0.2/", "http://127.2/", "http://0x7f000002/", "http://2130706434/", "http://0177.0.0.2/", "http://0/",
            "http://[::1]/", "http://[::ffff:127.0.0.2]/", "http://[64:ff9b::7f00:2]/", "http://10.0.0.1/",
            "https://169.254.169.254/latest/meta-data/", "http://224.0.1.1/",
        ],
    }  # fmt: skip
    for reason, urls in refused.items():
        for url in urls:
            answer = await fetching.post("/v1/annotate", json={"url": url, "tags": {}})
            assert (answer.status_code, answer.json()["reason"], answer.json()["field"]) == (400, reason, "url"), url
    answer = await fetching.post("/v1/annotate", json={"url": 7, "tags": {}})
    assert answer.json()["field"] == "url"
    answer = await fetching.post("/v1/annotate?url=http://127.0.0.1/&tasks=tags", content=PICTURE)
    assert "not both" in answer.json()["detail"]


async def test_a_name_is_looked_up_once(
    fetching: httpx.AsyncClient, site: tuple[Site, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(site[1].rpartition(":")[2])
    look_up, asked = socket.getaddrinfo, []

    def rebinding(host: str, *given: Any, **options: Any) -> Any:
        if host != "rebinding.example":
            return look_up(host, *given, **options)
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    url = f"http://rebinding.example:{port}/chunked"
    assert (await fetching.post("/v1/annotate", json={"url": url, "tags": {}})).status_code == 200
    assert len(asked) == 1
    assert (await fetching.post("/v1/annotate", json={"url": url, "tags": {}})).json()["reason"] == "ADDRESS_REFUSED"


async def test_of_several_addresses_the_first_that_answers_is_taken(
    fetching: httpx.AsyncClient, site: tuple[Site, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(site[1].rpartition(":")[2])

    def several(*_: Any, **__: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("127.0.0.3", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", several)
    url = f"http://several.example:{port}/chunked"
    assert (await fetching.post("/v1/annotate", json={"url": url, "tags": {}})).status_code == 200


async def test_slow_look_ups_keep_nothing_else_from_a_thread(
    fetching: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up, answered = socket.getaddrinfo, Event()
    loop, waiting = asyncio.get_running_loop(), asyncio.Semaphore(0)

    def slow(host: str, *given: Any, **options: Any) -> Any:
        if host != "slow.example":
            return look_up(host, *given, **options)
        loop.call_soon_threadsafe(waiting.release)
        answered.wait()
        raise socket.gaierror(socket.EAI_NONAME)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    loop.set_default_executor(ThreadPoolExecutor(2))  # which looks Tritons up, too
    request = {"url": "http://slow.example/", "tags": {}}
    calls = [asyncio.create_task(fetching.post("/v1/annotate", json=request)) for _ in range(4)]
    try:
        async with asyncio.timeout(20):
            for _ in range(2):
                await waiting.acquire()
            assert await asyncio.to_thread(int) == 0
    finally:
        answered.set()
    assert {(await call).json()["reason"] for call in calls} == {"URL_REFUSED"}


async def test_https_with_a_certificate_that_is_verified(
    repository: Path, fake: FakeTriton, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, site = Authority(tmp_path), Site()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    pair = authority.issue("site", "localhost")
    context.load_cert_chain(pair.certificate, pair.key)
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    options: dict[str, Any] = {"http_fetch": True, "http_fetch_networks": "127.0.0.0/8,::1/128"}
    async with (
        serving(fake) as engine,
        gateway(repository, engine, 0, **options) as running,
        httpx.AsyncClient(base_url=running.http, trust_env=False, timeout=30) as client,
    ):
        await running.until(ready=True)

        async def ask(url: str) -> tuple[int, str | None]:
            answer = await client.post("/v1/annotate", json={"url": url, "tags": {}})
            return answer.status_code, answer.json().get("reason")

        url = f"https://localhost:{port}/chunked"
        assert await ask(url) == (503, "URL_UNAVAILABLE"), "nobody vouches for it"
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        assert await ask(url) == (200, None)
        assert await ask(f"https://127.0.0.1:{port}/chunked") == (503, "URL_UNAVAILABLE"), "it is another's"
        assert await ask(f"http://localhost:{port}/chunked") == (400, "URL_REFUSED"), "not in plain text"
    server.close()


async def test_other_apis_fetch_too(fetching: httpx.AsyncClient, site: tuple[Site, str]) -> None:
    async def ask(path: str) -> httpx.Response:
        content = [{"type": "image_url", "image_url": {"url": f"http://{site[1]}/{path}"}}]
        messages = [{"role": "user", "content": content}]
        return await fetching.post("/v1/chat/completions", json={"model": "imagier-tags", "messages": messages})

    answer = await ask("chunked")
    assert "cat" in answer.json()["choices"][0]["message"]["content"]
    answer = await ask("gone")
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_off_by_default(http: httpx.AsyncClient, site: tuple[Site, str]) -> None:
    answer = await http.post("/v1/annotate", json={"url": f"http://{site[1]}/chunked", "tags": {}})
    assert (answer.status_code, answer.json()["field"]) == (400, "url")
    assert site[0].asked == []
