# SPDX-License-Identifier: Apache-2.0
"""Receives messages as bytes, when there is capacity, and parses them only if they are in proportion."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from imagier.v1 import annotator_pb2

from imagier_server.admission.receiving import Receiving
from imagier_server.admission.unfinished import Arriving
from imagier_server.call import CallContext, Caller, Lane
from imagier_server.errors import ImagierError, MalformedRequestError, WordyRequestError
from imagier_server.metrics import Metrics
from imagier_server.settings import Settings
from imagier_server.transport.credentials import Credentials
from imagier_server.transport.grpc.calls import call_of, identified
from imagier_server.transport.parsing import REQUEST, SERVICE, SINGLE, STREAM, WORDS_BYTES, parsed
from imagier_server.transport.status import abort
from imagier_server.transport.wire import WireError
from imagier_server.transport.wire import text as wire_text

_OTHER_BYTES = 4096  # of a request to another service (health, reflection)

_REQUEST_ID = annotator_pb2.AnnotateRequest.DESCRIPTOR.fields_by_name["request_id"].number


def message_bytes(settings: Settings) -> int:
    """Maximum message length: longer than the picture's limit, so that our own clear check comes before gRPC's."""
    return settings.max_image_bytes + 2 * WORDS_BYTES


Behaviour = Callable[[Any, Any], Any]
"""A handler of messages and call context: a coroutine or an async generator."""

Who = Callable[[Any], Awaitable[Caller]]
"""Identifies the caller of a call context."""

_NOBODY = Credentials()
"""For health and reflection, which need no key."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A message of `AnnotateStream` that is out of proportion, not parsed: that picture fails, the stream goes on."""

    request_id: str
    fault: WordyRequestError


class Incoming:
    """Wraps a method's handler so that we, not gRPC, read and parse its messages. A unary request has `seconds` to arrive.

    `knock` refuses a call of `Annotate` whose picture is not read yet.
    """

    def __init__(
        self,
        receiving: Receiving,
        seconds: float,
        metrics: Metrics,
        credentials: Credentials = _NOBODY,
        knock: Callable[[CallContext], None] = lambda _: None,
    ) -> None:
        self._receiving = receiving
        self._seconds = seconds
        self._metrics = metrics
        self._credentials = credentials
        self._knock = knock

    def read_by_us(self, method: str, handler: Any) -> Any:
        """The handler for gRPC, always a stream of bytes: only streams are not read ahead."""
        ours = method.startswith(f"/{SERVICE.file.package}.")
        most = WORDS_BYTES if ours else _OTHER_BYTES

        parse = partial(self._parse, method, handler.request_deserializer, most)

        async def one(call: Arriving, context: Any) -> Any:
            raw = await self._receiving.read(call, context.read, self._seconds)
            return parse(b"" if raw is grpc.aio.EOF else raw)  # type: ignore[attr-defined]  # unknown to the published stubs

        async def several(call: Arriving, context: Any) -> AsyncIterator[Any]:
            while (raw := await self._receiving.read(call, context.read, None)) is not grpc.aio.EOF:  # type: ignore[attr-defined]
                try:
                    message = parse(raw)
                except WordyRequestError as error:
                    if method != STREAM:
                        raise
                    message = _refused(raw, error)
                del raw
                yield message
                del message

        # Health checks. Reflection's streams always wait for the next message.
        small = not ours and not handler.request_streaming
        who = partial(identified, self._credentials if ours else _NOBODY)
        if method == SINGLE:
            who = partial(self._let_in, who)
        if handler.unary_unary:
            return grpc.stream_unary_rpc_method_handler(
                self._unary(handler.unary_unary, one, who, small), response_serializer=handler.response_serializer
            )
        behaviour = handler.unary_stream or handler.stream_stream
        wrap = self._generator if inspect.isasyncgenfunction(behaviour) else self._writer
        return grpc.stream_stream_rpc_method_handler(
            wrap(behaviour, one if handler.unary_stream else several, who, small),
            response_serializer=handler.response_serializer,
        )

    def _parse(self, method: str, deserialize: Callable[[bytes], Any], most: int, raw: bytes) -> Any:
        try:
            return parsed(raw, method, deserialize, most)
        except MalformedRequestError as error:
            self._metrics.refused_calls.labels(error.reason).inc()
            raise

    async def _let_in(self, who: Who, context: Any) -> Caller:
        caller = await who(context)
        self._knock(call_of(context, Lane.INTERACTIVE))
        return caller

    def _unary(self, behaviour: Behaviour, read: Behaviour, who: Who, small: bool) -> Behaviour:
        async def message(context: Any) -> Any:
            with self._receiving.call(await who(context), small=small) as call:
                return await read(call, context)

        async def unary(_: object, context: Any) -> Any:
            try:
                # No reference to the message is kept here, so that its bytes are freed early.
                return await behaviour(await message(context), context)
            except ImagierError as error:
                await abort(context, error)

        return unary

    # A stream counts until it ends, because messages may still come.

    def _writer(self, behaviour: Behaviour, read: Behaviour, who: Who, small: bool) -> Behaviour:
        async def writer(_: object, context: Any) -> None:
            try:
                with self._receiving.call(await who(context), small=small) as call:
                    await behaviour(await _begun(read(call, context)), context)
            except ImagierError as error:
                await abort(context, error)

        return writer

    def _generator(self, behaviour: Behaviour, read: Behaviour, who: Who, small: bool) -> Behaviour:
        async def generator(_: object, context: Any) -> AsyncIterator[Any]:
            try:
                with self._receiving.call(await who(context), small=small) as call:
                    async for answer in behaviour(await _begun(read(call, context)), context):
                        yield answer
            except ImagierError as error:
                await abort(context, error)

        return generator


def _refused(raw: bytes, error: WordyRequestError) -> Refused:
    """A fault of one picture on a stream, which goes on. Unparsable bytes have no request id, and end the stream."""
    try:
        return Refused(wire_text(raw, (REQUEST, _REQUEST_ID)), error.with_traceback(None))
    except WireError:
        raise error from None


async def _begun(reading: Any) -> Any:
    """The single message, or an iterator over the stream's."""
    return await reading if inspect.isawaitable(reading) else reading
