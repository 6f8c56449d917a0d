# SPDX-License-Identifier: Apache-2.0
"""Calls of a server under load, each on a connection, and what came of them: an answer, a proper refusal or anything else."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from imagier.v1 import annotator_pb2, annotator_pb2_grpc

Ask = Callable[[annotator_pb2.AnnotateRequest], Awaitable[annotator_pb2.AnnotateResponse]]
"""Asks on one connection."""


@dataclass
class Answers:
    """Seconds of the calls that were answered, delays of those that were refused, and anything else, by its code."""

    seconds: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return len(self.seconds) + len(self.delays) + self.others.total()


def refusal(error: grpc.aio.AioRpcError) -> float | None:
    """The seconds after which a proper refusal asks the caller to come back; None for anything else."""
    packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED or not isinstance(packed, bytes):
        return None
    info, retry, quota = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo(), error_details_pb2.QuotaFailure()
    found: set[type[Message]] = set()
    for detail in status_pb2.Status.FromString(packed).details:
        for kind in (info, retry, quota):
            if detail.Unpack(kind):
                found.add(type(kind))
    if len(found) < 3 or info.reason != "OVERLOADED":
        return None
    return float(retry.retry_delay.ToMilliseconds()) / 1000


async def call(ask: Ask, request: annotator_pb2.AnnotateRequest, answers: Answers) -> float | None:
    """One call; the delay if it is refused."""
    started = time.perf_counter()
    try:
        answer = await ask(request)
    except grpc.aio.AioRpcError as error:
        delay = refusal(error)
        if delay is None:
            answers.others[error.code().name] += 1
        else:
            answers.delays.append(delay)
        return delay
    if answer.cost:
        answers.seconds.append(time.perf_counter() - started)
    else:
        answers.others["a task failed"] += 1
    return None


@asynccontextmanager
async def connections(address: str, count: int, key: str = "") -> AsyncIterator[list[Ask]]:
    """So many connections of their own."""
    metadata = (("x-api-key", key),) if key else ()
    async with AsyncExitStack() as stack:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(address, options=options)) for _ in range(count)
        ]
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        stubs = [annotator_pb2_grpc.AnnotatorServiceStub(channel) for channel in channels]
        yield [partial(stub.Annotate, metadata=metadata, timeout=120) for stub in stubs]
