# SPDX-License-Identifier: Apache-2.0
"""What surrounds every call: an exception nobody foresaw becomes INTERNAL with a fixed sentence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from imagier_server.errors import InternalError
from imagier_server.logs import logger
from imagier_server.transport.status import abort

Handler = Callable[[Any, Any], Awaitable[Any]]


class UnexpectedErrorInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc, type-arg, unused-ignore]
    """Without it gRPC would send the exception's text, which may quote what was being read, to the caller."""

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """Wraps the handlers that are coroutines of (request or requests, context): all of ours."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        if handler.unary_unary:
            return handler._replace(unary_unary=_guarded(handler.unary_unary))
        if handler.stream_stream and handler_call_details.method.startswith("/imagier."):
            return handler._replace(stream_stream=_guarded(handler.stream_stream))
        return handler


def _guarded(behaviour: Handler) -> Handler:
    async def guarded(request: Any, context: Any) -> Any:
        try:
            return await behaviour(request, context)
        except grpc.aio.AbortError:
            raise
        except Exception:
            logger.exception("call failed")
            await abort(context, InternalError())

    return guarded
