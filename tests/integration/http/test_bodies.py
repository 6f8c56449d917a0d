# SPDX-License-Identifier: Apache-2.0
"""How bodies arrive: too large, too slow, too many, compressed, cut off; and never in a file."""

from __future__ import annotations

import asyncio
import gzip
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from support.fake_triton import FakeTriton, serving
from support.running_gateway import Gateway, gateway, picture

PICTURE = picture("BMP", (900, 900))
MIB = 1 << 20


@pytest.fixture
async def small(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> AsyncIterator[Gateway]:
    options: dict[str, Any] = {"max_image_bytes": 4 * MIB, "receive_bytes": 6 * MIB}
    async with serving(fake) as engine, gateway(repository, engine, unused_tcp_port, **options) as running:
        await running.until(ready=True)
        yield running


@pytest.fixture
async def impatient(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> AsyncIterator[Gateway]:
    async with serving(fake) as engine, gateway(repository, engine, unused_tcp_port, receive_seconds=0.5) as running:
        await running.until(ready=True)
        yield running


async def pieces(count: int, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(size)


async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 64 * 1024):
        yield body[start : start + 64 * 1024]


class Slow:
    """A body of which a part comes, and the rest when it is told to."""

    def __init__(self, first: bytes) -> None:
        self.first = first
        self.go_on = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.first
        await self.go_on.wait()
        yield b"the rest"


async def until_refused(running: Gateway, reason: str) -> None:
    async with asyncio.timeout(20):
        while not await running.metric(f'imagier_refused_calls_total{{reason="{reason}"}}'):
            pass


async def test_a_body_is_refused_while_it_arrives(small: Gateway) -> None:
    async with httpx.AsyncClient(base_url=small.http, trust_env=False) as client:
        for path in ("/v1/annotate?tasks=tags", "/v1/annotate?tasks=ocr"):
            answer = await client.post(path, content=pieces(65))  # in chunks, without a length
            assert (answer.status_code, answer.json()["reason"]) == (413, "IMAGE_TOO_LARGE")
        answer = await client.post("/v1/annotate?tasks=tags", content=PICTURE)
        assert answer.status_code == 200, "the connection is fit for another"


async def test_a_client_that_asks_first_is_told_before_it_sends(small: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(small.http.rpartition(":")[2]))
    writer.write(b"POST /v1/annotate HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n")
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer
    writer.close()


async def test_a_slow_body_times_out(impatient: Gateway) -> None:
    slow = Slow(b"begun")
    async with httpx.AsyncClient(base_url=impatient.http, trust_env=False) as client:
        call = asyncio.create_task(client.post("/v1/annotate?tasks=tags", content=slow))
        await until_refused(impatient, "DEADLINE_EXCEEDED")
        slow.go_on.set()
        answer = await call
    assert (answer.status_code, answer.json()["reason"]) == (504, "DEADLINE_EXCEEDED")


async def test_of_bodies_beyond_the_capacity_the_oldest_is_ended_with_a_hint(
    repository: Path, fake: FakeTriton, unused_tcp_port: int
) -> None:
    bodies = [Slow(bytes(3 * MIB - 1024)) for _ in range(3)]
    options: dict[str, Any] = {"max_image_bytes": 4 * MIB, "receive_bytes": 6 * MIB}
    async with (
        serving(fake) as engine,
        gateway(repository, engine, unused_tcp_port, **options) as running,
        httpx.AsyncClient(base_url=running.http, trust_env=False, timeout=30) as client,
    ):
        await running.until(ready=True)
        first, *others = [asyncio.create_task(client.post("/v1/annotate?tasks=tags", content=body)) for body in bodies]
        await until_refused(running, "ARRIVING_FULL")
        for body in bodies:
            body.go_on.set()
        answers = await asyncio.gather(first, *others)
    assert sorted(answer.status_code for answer in answers) == [400, 400, 429], "two were read: they are no pictures"
    (full,) = (answer for answer in answers if answer.status_code == 429)
    assert int(full.headers["retry-after"]) >= 1


async def test_gzip(small: Gateway) -> None:
    async with httpx.AsyncClient(base_url=small.http, trust_env=False) as client:

        async def post(content: bytes, encoding: str = "gzip") -> httpx.Response:
            return await client.post("/v1/annotate?tasks=tags", content=content, headers={"content-encoding": encoding})

        assert (await post(gzip.compress(PICTURE))).status_code == 200
        bomb = await post(gzip.compress(bytes(100 * MIB)))
        assert (bomb.status_code, bomb.json()["reason"]) == (413, "IMAGE_TOO_LARGE")
        for broken in (gzip.compress(PICTURE)[:-9], PICTURE):
            answer = await post(broken)
            assert (answer.status_code, answer.json()["reason"]) == (400, "MALFORMED_REQUEST")
        nothing = gzip.compress(b"")[:10] + b"\0\0\0\xff\xff" * (MIB + 1)  # a head and stored blocks of 0 bytes
        for endless, status in ((nothing, 413), (gzip.compress(PICTURE) + b"?", 400)):
            answer = await client.post(
                "/v1/annotate?tasks=tags", content=in_chunks(endless), headers={"content-encoding": "gzip"}
            )
            assert answer.status_code == status
        answer = await post(PICTURE, "zstd")
        assert (answer.status_code, answer.json()["reason"]) == (501, "UNSUPPORTED_ENCODING")


async def test_a_form_never_reaches_a_file(small: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_file(*_: Any, **__: Any) -> None:
        raise AssertionError("a picture in a file")

    monkeypatch.setattr(tempfile, "TemporaryFile", no_file)
    async with httpx.AsyncClient(base_url=small.http, trust_env=False) as client:
        answer = await client.post("/v1/annotate?tasks=tags", files={"image": PICTURE})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (b"", "multipart/form-data", "MALFORMED_REQUEST"),
        (b"nothing like it", "multipart/form-data; boundary=b", "MALFORMED_REQUEST"),
        (b"--b\r\nx: y\r\n\r\n", "multipart/form-data; boundary=b", "MALFORMED_REQUEST"),
        (b"--b--\r\n", "multipart/form-data; boundary=b", "INVALID_IMAGE"),
        (b"{", "application/json", "MALFORMED_REQUEST"),
        (b"[" * 200_000, "application/json", "MALFORMED_REQUEST"),
        (b"[" + b"{}," * 500_000 + b"{}]", "application/json", "MALFORMED_REQUEST"),
        (b"\xff\xfe", "application/json", "MALFORMED_REQUEST"),
        (b"9" * 10_000, "application/json", "MALFORMED_REQUEST"),
    ],
)
async def test_malformed_bodies(http: httpx.AsyncClient, body: bytes, kind: str, reason: str) -> None:
    answer = await http.post("/v1/annotate?tasks=tags", content=body, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["reason"]) == (400, reason)
