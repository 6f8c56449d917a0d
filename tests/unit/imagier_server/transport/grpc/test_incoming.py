# SPDX-License-Identifier: Apache-2.0
"""Which calls are expected to bring a few bytes only, and which are refused before they bring any."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import grpc
import pytest
from imagier_server.admission.unfinished import Arriving
from imagier_server.call import CallContext, Caller
from imagier_server.errors import Full, OverloadedError
from imagier_server.metrics import Metrics
from imagier_server.transport.grpc.incoming import Incoming


class Receiving:
    """Reads at once, and says what kind of calls came."""

    def __init__(self) -> None:
        self.small: list[bool] = []

    @contextmanager
    def call(self, caller: Caller, *, small: bool) -> Iterator[Arriving]:
        self.small.append(small)
        yield Arriving(caller, small)

    async def read(self, _call: Arriving, read: Callable[[], Awaitable[Any]], _seconds: float | None) -> Any:
        return await read()


class AbortedError(Exception):
    """As gRPC ends a handler."""


class Context:
    ended: grpc.StatusCode | None = None

    def time_remaining(self) -> float | None:
        return None

    async def abort(self, code: grpc.StatusCode, *_: object) -> None:
        self.ended = code
        raise AbortedError

    def peer(self) -> str:
        return "ipv4:10.0.0.1:5"

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    def auth_context(self) -> dict[str, list[bytes]]:
        return {}

    async def read(self) -> bytes:
        return b""


async def once(*_: Any) -> None: ...


@pytest.mark.parametrize(
    ("method", "kind", "small"),
    [
        ("/grpc.health.v1.Health/Check", "unary_unary", True),
        ("/grpc.health.v1.Health/Watch", "unary_stream", True),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "stream_stream", False),
        ("/imagier.v1.AnnotatorService/GetCatalog", "unary_unary", False),
    ],
)
async def test_a_small_call_is_one_message_to_a_service_that_is_not_ours(method: str, kind: str, small: bool) -> None:
    receiving: Any = Receiving()
    handler = getattr(grpc, f"{kind}_rpc_method_handler")(once, bytes, bytes)
    wrapped: Any = Incoming(receiving, 1.0, Metrics()).read_by_us(method, handler)
    await (wrapped.stream_unary or wrapped.stream_stream)(None, Context())
    assert receiving.small == [small]


@pytest.mark.parametrize(
    ("method", "knocks"),
    [("Annotate", True), ("AnnotateStream", False), ("GetCatalog", False), ("MatchKeywords", False)],
)
async def test_a_single_picture_is_refused_before_it_is_read(method: str, knocks: bool) -> None:
    receiving: Any = Receiving()
    context = Context()

    def full(_: CallContext) -> None:
        raise OverloadedError("no room", Full.PICTURES, retry_after=1.0)

    handler = grpc.unary_unary_rpc_method_handler(once, bytes, bytes)
    incoming = Incoming(receiving, 1.0, Metrics(), knock=full)
    wrapped: Any = incoming.read_by_us(f"/imagier.v1.AnnotatorService/{method}", handler)
    with pytest.raises(AbortedError) if knocks else nullcontext():
        await wrapped.stream_unary(None, context)
    assert context.ended == (grpc.StatusCode.RESOURCE_EXHAUSTED if knocks else None)
    assert bool(receiving.small) is not knocks
