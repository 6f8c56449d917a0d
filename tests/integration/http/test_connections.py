# SPDX-License-Identifier: Apache-2.0
"""Connections without a request: too many, too slow, with heads that are too large."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import httpx2 as httpx
import pytest
from imagier_server.transport.http import connections
from support.fake_triton import FakeTriton, serving
from support.running_gateway import Gateway, gateway

REQUEST = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


async def connect(gateway: Gateway) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(gateway.http.rpartition(":")[2]))


async def test_too_many_are_closed_and_those_that_are_open_go_on(repository: Path, fake: FakeTriton) -> None:
    async with serving(fake) as engine, gateway(repository, engine, 0, connections=2) as running:
        opened = [await connect(running) for _ in range(2)]
        for reader, writer in opened:
            writer.write(REQUEST)
            assert (await reader.readuntil(b"alive")).startswith(b"HTTP/1.1 200 ")
        reader, writer = await connect(running)
        with suppress(ConnectionError):
            writer.write(REQUEST)
            assert await reader.read() == b"", "closed without an answer"
        writer.close()
        for reader, writer in opened:
            writer.write(REQUEST)
            assert await reader.readuntil(b"alive")
            writer.close()


async def test_a_head_that_does_not_come_closes_the_connection(
    running: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    for before, sent in ((b"", b""), (b"", b"GET / HT"), (REQUEST, b"GET")):
        reader, writer = await connect(running)
        writer.write(before)
        if before:
            await reader.readuntil(b"alive")
        writer.write(sent)
        async with asyncio.timeout(20):
            await reader.read()  # until the end
        writer.close()


async def test_a_flood_of_headers_is_refused(running: Gateway, http: httpx.AsyncClient) -> None:
    reader, writer = await connect(running)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n")
    for number in range(2000):
        writer.write(b"x-%d: %s\r\n" % (number, b"y" * 100))
    assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
    writer.close()
    assert (await http.get("/livez")).status_code == 200


async def test_of_a_body_with_two_ends_nothing_that_follows_is_a_request(running: Gateway) -> None:
    reader, writer = await connect(running)
    writer.write(
        b"POST /v1/annotate HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )
    writer.write(REQUEST)
    async with asyncio.timeout(20):
        answers = await reader.read()  # until the end
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert answers.count(b"HTTP/1.1 ") == 1
    writer.close()


async def test_requests_one_after_the_other_without_waiting(running: Gateway) -> None:
    reader, writer = await connect(running)
    writer.write(REQUEST * 5)
    for _ in range(5):
        assert await reader.readuntil(b"alive")
    writer.close()
