# SPDX-License-Identifier: Apache-2.0
"""What surrounds every call of ours: it is counted, and an exception nobody foresaw becomes INTERNAL with a fixed sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from imagier_server.errors import InternalError
from imagier_server.logs import logger
from imagier_server.transport.status import abort

Handler = Callable[[Any, Any], Awaitable[Any]]


class CallInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc, type-arg, unused-ignore]
    """Counts our calls under way, and keeps an exception's text, which may quote what was being read, from the caller."""

    def __init__(self) -> None:
        self._under_way = 0
        self._ended = asyncio.Event()

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """Wraps the handlers that are coroutines of (request or requests, context): all of ours."""
        handler = await continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith("/imagier."):
            return handler
        if handler.unary_unary:
            return handler._replace(unary_unary=self._guarded(handler.unary_unary))
        return handler._replace(stream_stream=self._guarded(handler.stream_stream))

    async def idle(self) -> None:
        """Returns once no call of ours is under way; those of health and reflection, which may last for ever, do not count."""
        while self._under_way:
            self._ended.clear()
            await self._ended.wait()

    def _guarded(self, behaviour: Handler) -> Handler:
        async def guarded(request: Any, context: Any) -> Any:
            self._under_way += 1
            try:
                return await behaviour(request, context)
            except grpc.aio.AbortError:
                raise
            except Exception as error:
                if context.done() or _undelivered(error):
                    raise asyncio.CancelledError from None
                logger.exception("call failed")
                await abort(context, InternalError())
            finally:
                self._under_way -= 1
                self._ended.set()

        return guarded


def _undelivered(error: Exception) -> bool:
    """Whether all that failed is the answer's way: its caller has gone, and gRPC has not said so yet."""
    _, rest = ExceptionGroup("", [error]).split(grpc.aio.InternalError)
    return rest is None
