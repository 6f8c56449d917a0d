# SPDX-License-Identifier: Apache-2.0
"""Far more calls at once than there is room for: each is answered or properly refused, none is forgotten."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import grpc
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, tags_pb2
from imagier_server.ledger import keys
from imagier_server.ledger.database import Database
from imagier_server.ledger.keys import Wish
from imagier_server.messages import Account
from support.fake_triton import FakeTriton, serving
from support.ledger_cases import account
from support.running_gateway import details, gateway, picture, status_of

CALLS, CONNECTIONS, IN_FLIGHT = 1600, 40, 16
"""More calls than gRPC's core keeps by default for a server that is busy, 1024."""
HELD = IN_FLIGHT * 7 // 8
"""A single address may hold seven eighths."""


async def test_a_burst(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> None:
    await burst(repository, fake, unused_tcp_port, ())


async def test_a_burst_on_a_server_that_charges(
    repository: Path, fake: FakeTriton, unused_tcp_port: int, tmp_path: Path
) -> None:
    with closing(Database(str(tmp_path / "ledger.db"))) as ledger:
        ledger.migrate()
        with ledger.writing() as connection:
            _, secret = keys.create(connection, Wish("library", allowance=CALLS))
        await burst(repository, fake, unused_tcp_port, (("x-api-key", secret),), ledger=ledger.where)
        # Nothing stays reserved for those that were refused.
        assert account(ledger) == Account("library", CALLS - 15, 0, postpaid=False)


async def burst(
    repository: Path, fake: FakeTriton, unused_tcp_port: int, metadata: Sequence[tuple[str, str]], **settings: Any
) -> None:
    tag, go_on = fake.behaviours["tagger"], asyncio.Event()
    request = annotator_pb2.AnnotateRequest(image=picture(size=(32, 32)), tags=tags_pb2.TagsOptions())
    outcomes: Counter[str] = Counter()
    at_once = most = 0

    async def held(request: Any, context: Any) -> Any:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await go_on.wait()
        at_once -= 1
        return await tag(request, context)

    async def one(stub: annotator_pb2_grpc.AnnotatorServiceStub) -> None:
        try:
            await stub.Annotate(request, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, error.code()
            found = details(status_of(error))
            outcomes[found["ErrorInfo"].reason] += 1
            assert found["QuotaFailure"].violations[0].subject in {
                "server:in_flight",
                "server:arriving",
                "caller:in_flight",
            }
            pushback = dict(error.trailing_metadata() or ())["grpc-retry-pushback-ms"]
            assert 100 <= int(pushback) == found["RetryInfo"].retry_delay.ToMilliseconds() <= 30_000
            if outcomes["OVERLOADED"] >= CALLS - HELD:
                go_on.set()
        else:
            outcomes["answered"] += 1

    fake.behaviours["tagger"] = held
    async with (
        serving(fake) as port,
        # What is held here waits for all refusals, which take long on a busy machine.
        gateway(repository, port, unused_tcp_port, in_flight=IN_FLIGHT, deadline_seconds=300, **settings) as running,
        AsyncExitStack() as stack,
        asyncio.timeout(200),
    ):
        await running.until(ready=True)
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(running.address, options=options))
            for _ in range(CONNECTIONS)
        ]
        stubs = [annotator_pb2_grpc.AnnotatorServiceStub(channel) for channel in channels]
        await asyncio.gather(*(one(stubs[each % CONNECTIONS]) for each in range(CALLS)))
        assert await running.metric("imagier_in_flight_pictures") == 0
        assert outcomes == {"answered": HELD, "OVERLOADED": CALLS - HELD}
        assert most == HELD
        # The server may still be taking note of how the calls before ended.
        while outcomes["answered"] == HELD:
            await one(running.stub)
