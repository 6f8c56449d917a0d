# SPDX-License-Identifier: Apache-2.0
"""Wraps every call: an unexpected exception becomes INTERNAL with a fixed sentence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from imagier_server.errors import ImagierError, InternalError
from imagier_server.logs import logger
from imagier_server.transport.grpc.incoming import Incoming

GRPC_LOGGER = "grpc._cython.cygrpc"
_CALLER_GONE = {"ExecuteBatchError", "CancelledError"}

Handler = Callable[[Any, Any], Awaitable[Any]]


class CallInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc, type-arg, unused-ignore]
    """Receives messages by `incoming`, and keeps an exception's text, which may quote the picture, from the caller."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self._wrapped: dict[str, Any] = {}  # handlers by method: of the methods that there are

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """Wrap all handlers for receiving, once; guard our own, the coroutines of (request or requests, context)."""
        method = handler_call_details.method
        if method in self._wrapped:
            return self._wrapped[method]
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        if method.startswith("/imagier."):
            kind = "unary_unary" if handler.unary_unary else "stream_stream"
            handler = handler._replace(**{kind: self._guarded(getattr(handler, kind))})
        self._wrapped[method] = self._incoming.read_by_us(method, handler)
        return self._wrapped[method]

    def _guarded(self, behaviour: Handler) -> Handler:
        async def guarded(request: Any, context: Any) -> Any:
            try:
                answering = behaviour(request, context)
                del request  # or it would be held until the answer
                return await answering
            except (ImagierError, grpc.aio.AbortError):
                raise
            except Exception as error:
                if context.done() or _undelivered(error):
                    raise asyncio.CancelledError from None
                logger.exception("call failed")
                raise InternalError from None

        return guarded


def is_of_note(record: logging.LogRecord) -> bool:
    """A filter for gRPC's logger: drops callers that had gone before their call began or its answer could be sent."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or kind.__name__ not in _CALLER_GONE


def _undelivered(error: Exception) -> bool:
    """Whether only sending the answer failed: the caller has gone, and gRPC has not reported it yet."""
    _, rest = ExceptionGroup("", [error]).split(grpc.aio.InternalError)
    return rest is None
