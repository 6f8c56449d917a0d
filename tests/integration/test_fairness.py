# SPDX-License-Identifier: Apache-2.0
"""A caller who floods leaves room for those who ask for little."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, tags_pb2
from support.fake_triton import FakeTriton, serving
from support.relay import through
from support.running_gateway import details, gateway, picture, status_of


@asynccontextmanager
async def held_up(fake: FakeTriton) -> AsyncIterator[asyncio.Event]:
    """Triton answers nothing about tags until the event is set."""
    tag, go_on = fake.behaviours["tagger"], asyncio.Event()

    async def held(request: Any, context: Any) -> Any:
        await go_on.wait()
        return await tag(request, context)

    fake.behaviours["tagger"] = held
    yield go_on


def open_sockets() -> int:
    count = 0
    for file in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # closed since it was listed
            count += file.readlink().name.startswith("socket:")
    return count


async def test_calls_that_each_opened_a_connection_take_nothing_from_one_that_follows(
    repository: Path, fake: FakeTriton, unused_tcp_port: int
) -> None:
    request = annotator_pb2.AnnotateRequest(image=picture(size=(64, 64)), tags=tags_pb2.TagsOptions())
    own_connection = [("grpc.use_local_subchannel_pool", 1)]
    async with (
        serving(fake) as port,
        gateway(repository, port, unused_tcp_port, in_flight=16) as running,
        asyncio.timeout(60),
    ):
        await running.until(ready=True)
        await running.stub.Annotate(request)
        before = open_sockets()
        for _ in range(5):
            async with grpc.aio.insecure_channel(running.address, options=own_connection) as channel:
                await annotator_pb2_grpc.AnnotatorServiceStub(channel).Annotate(request)
        while open_sockets() > before:
            await running.ready()
        async with held_up(fake) as go_on:
            burst = [asyncio.ensure_future(running.stub.Annotate(request, timeout=60)) for _ in range(14)]
            while await running.metric("imagier_in_flight_pictures") < 14 and not any(call.done() for call in burst):
                pass
            go_on.set()
            await asyncio.gather(*burst)


async def test_a_flood_from_one_address_leaves_room_to_another(
    repository: Path, fake: FakeTriton, unused_tcp_port: int
) -> None:
    request = annotator_pb2.AnnotateRequest(image=picture(size=(64, 64)), tags=tags_pb2.TagsOptions())

    async def outcome(stub: annotator_pb2_grpc.AnnotatorServiceStub) -> str:
        try:
            await stub.Annotate(request, timeout=60)
        except grpc.aio.AioRpcError as error:
            found = details(status_of(error))
            assert found["RetryInfo"].retry_delay.ToMilliseconds() >= 100
            assert found["QuotaFailure"].violations[0].subject in {"caller:in_flight", "server:in_flight"}
            return str(found["ErrorInfo"].reason)
        return "answered"

    async with (
        serving(fake) as port,
        gateway(repository, port, unused_tcp_port, in_flight=16) as running,
        through("127.0.0.2", int(running.address.rpartition(":")[2])) as hostile_port,
        grpc.aio.insecure_channel(f"127.0.0.1:{hostile_port}") as channel,
        held_up(fake) as go_on,
        asyncio.timeout(60),
    ):
        await running.until(ready=True)
        stub = annotator_pb2_grpc.AnnotatorServiceStub(channel)
        flood = [asyncio.create_task(outcome(stub)) for _ in range(60)]
        while sum(task.done() for task in flood) < 60 - 14:
            await running.ready()
        polite = [asyncio.create_task(outcome(running.stub)) for _ in range(2)]
        while await running.metric("imagier_in_flight_pictures") < 16:
            pass
        # While both want room, the flood gets none until it holds less than its part.
        assert await outcome(stub) == "OVERLOADED"
        go_on.set()
        assert await asyncio.gather(*polite) == ["answered"] * 2
        outcomes = await asyncio.gather(*flood)
    assert (outcomes.count("answered"), outcomes.count("OVERLOADED")) == (14, 46)
