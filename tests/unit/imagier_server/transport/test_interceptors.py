# SPDX-License-Identifier: Apache-2.0
"""Whose fault it is when a call fails: the caller's who has gone, or ours."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import grpc
import pytest
from imagier_server.transport.interceptors import CallInterceptor


class AbortedError(Exception):
    pass


class Context:
    """A call that is `over` or not."""

    def __init__(self, *, over: bool = False) -> None:
        self.over = over

    def done(self) -> bool:
        return self.over

    async def abort(self, *_: Any, **__: Any) -> None:
        raise AbortedError


UNDELIVERED = grpc.aio.InternalError("an answer that nobody takes")


async def call(error: Exception, context: Context) -> None:
    async def behaviour(_request: Any, _context: Any) -> None:
        raise error

    await CallInterceptor()._guarded(behaviour)(None, context)


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
    with pytest.raises(AbortedError):
        await call(error, Context())
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
