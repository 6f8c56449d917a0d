# SPDX-License-Identifier: Apache-2.0
"""Whose fault it is when a call fails: the caller's who has gone, or ours."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import grpc
import pytest
from imagier_server.errors import InternalError
from imagier_server.transport.grpc.interceptors import GRPC_LOGGER, CallInterceptor, is_of_note


class Context:
    """A call that is `over` or not."""

    def __init__(self, *, over: bool = False) -> None:
        self.over = over

    def done(self) -> bool:
        return self.over


UNDELIVERED = grpc.aio.InternalError("an answer that nobody takes")


async def call(error: Exception, context: Context) -> None:
    async def behaviour(_request: Any, _context: Any) -> None:
        raise error

    await CallInterceptor(None)._guarded(behaviour)(None, context)


@pytest.mark.parametrize(
    ("error", "over"),
    [
        (UNDELIVERED, False),
        (ExceptionGroup("", [UNDELIVERED, ExceptionGroup("", [UNDELIVERED])]), False),
        (ValueError("of an abort that comes too late"), True),
    ],
)
async def test_a_caller_who_has_gone_is_no_error_of_ours(
    error: Exception, over: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(asyncio.CancelledError):
        await call(error, Context(over=over))
    assert not caplog.records


@pytest.mark.parametrize("error", [ValueError(), ExceptionGroup("", [UNDELIVERED, ValueError()])])
async def test_a_bug_is_ours_whatever_else_failed(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InternalError):
        await call(error, Context())
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize(("error", "kept"), [(asyncio.CancelledError(), False), (ValueError(), True), (None, True)])
def test_what_grpc_says_of_a_caller_who_has_gone_is_dropped(error: BaseException | None, kept: bool) -> None:
    """gRPC reports a call that is cancelled before its first step as an exception of the handler's."""
    exc_info = (type(error), error, None) if error else None
    record = logging.LogRecord(GRPC_LOGGER, logging.ERROR, __file__, 1, "Exception not handled", (), exc_info)
    assert is_of_note(record) is kept


async def test_a_method_is_wrapped_once_and_an_unknown_one_never() -> None:
    class Incoming:
        def read_by_us(self, method: str, handler: Any) -> object:
            return object()

    class Details:
        def __init__(self, method: str) -> None:
            self.method = method

    async def known(_details: Any) -> object:
        return object()

    async def unknown(_details: Any) -> None:
        return None

    interceptor = CallInterceptor(Incoming())
    once = await interceptor.intercept_service(known, Details("/grpc.health.v1.Health/Check"))
    assert await interceptor.intercept_service(known, Details("/grpc.health.v1.Health/Check")) is once
    assert await interceptor.intercept_service(known, Details("/grpc.health.v1.Health/Watch")) is not once
    for _ in range(2):
        assert await interceptor.intercept_service(unknown, Details("/none/Such")) is None
    assert await interceptor.intercept_service(known, Details("/none/Such")) is not None, "it is not remembered"
