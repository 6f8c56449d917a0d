# SPDX-License-Identifier: Apache-2.0
"""What peers do that is no fault of ours: they ping, they leave in the middle of an answer, they say odd things."""

from __future__ import annotations

import asyncio
import json
import logging
import struct
from pathlib import Path

import pytest
from grpc._cython import cygrpc
from imagier.v1 import keywords_pb2
from imagier_server.settings import Settings
from imagier_server.transport.grpc import server as grpc_server
from support.fake_triton import FakeTriton, serving
from support.raw_http2 import GOAWAY, SETTINGS, connected, frame
from support.running_gateway import Gateway, gateway
from support.served_gateway import served


def test_grpc_knows_every_option_that_it_is_given() -> None:
    """It says nothing of one that it does not know."""
    core = Path(cygrpc.__file__).read_bytes()
    for name, _ in grpc_server._options(Settings()):
        assert name.encode() + b"\0" in core, name


async def test_an_idle_client_that_pings_is_not_cut_off(
    repository: Path, fake: FakeTriton, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert grpc_server.PING_LEAST_MS <= 5000, "half of what many clients are set to"
    monkeypatch.setattr(grpc_server, "PING_LEAST_MS", 0)
    async with (
        serving(fake) as port,
        gateway(repository, port, unused_tcp_port) as running,
        connected(int(running.address.rpartition(":")[2])) as idle,
        asyncio.timeout(20),
    ):
        for number in range(1, 12):
            await idle.ping()
            while idle.pings < number and not idle.gone:
                await idle.progress()
        assert not idle.gone


@pytest.mark.parametrize("how", ["cancels", "hangs up"])
async def test_who_leaves_in_the_middle_of_an_answer_is_no_error(
    running: Gateway, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    asked = keywords_pb2.MatchKeywordsRequest(keywords=["cat"] * 2000, languages=["en", "fr", "zh"])
    before = len(asyncio.all_tasks())
    async with connected(int(running.address.rpartition(":")[2])) as caller, asyncio.timeout(20):
        caller.call(1, "/imagier.v1.AnnotatorService/MatchKeywords")
        await caller.send(1, asked.SerializeToString())
        await caller.received(65_535)
        if how == "cancels":
            await caller.cancel(1)
            await caller.ping()
            await caller.progress()
    async with asyncio.timeout(20):
        while len(asyncio.all_tasks()) > before:  # noqa: ASYNC110 - until the call's task has ended
            await asyncio.sleep(0)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_the_log_is_json_whatever_grpcs_core_has_to_say(repository: Path, tmp_path: Path) -> None:
    async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(SETTINGS, 0, 0))
        await reader.read(100)
        calm = struct.pack("!II", 0, 11) + b"too_many_pings"
        writer.write(frame(SETTINGS, 1, 0) + frame(GOAWAY, 0, 0, calm))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(odd, "127.0.0.1", 0) as triton:
        port = triton.sockets[0].getsockname()[1]
        async with served(repository, port, tmp_path / "log") as process, asyncio.timeout(30):
            said = b""
            while b"chttp2_transport.cc" not in said:
                said = await asyncio.to_thread((tmp_path / "log").read_bytes)
            assert process.address
    events = [json.loads(line) for line in said.splitlines()]
    assert any(event.get("at", "").startswith("chttp2_transport.cc") for event in events)
