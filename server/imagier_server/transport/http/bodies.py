# SPDX-License-Identifier: Apache-2.0
"""Reads bodies within limits of size, time and memory, in memory only."""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext

from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from imagier_server.admission.bodies import Bodies, Body
from imagier_server.admission.receiving import Receiving
from imagier_server.call import CallContext
from imagier_server.errors import (
    Code,
    DeadlineError,
    Full,
    ImageTooLargeError,
    ImagierError,
    MalformedRequestError,
    OverloadedError,
)
from imagier_server.metrics import Metrics

MAX_FIELDS = 100
"""Maximum fields of a form, besides its files."""
FIELD_BYTES = 64 * 1024
_GZIP = zlib.MAX_WBITS | 16
_PIECE = 1 << 20
"""Bytes that are expanded at a time."""


class UnsupportedEncodingError(ImagierError):
    """The body is compressed in a way that this server does not read."""

    code = Code.UNSUPPORTED
    reason = "UNSUPPORTED_ENCODING"


class _InMemory(MultiPartParser):
    spool_max_size = sys.maxsize  # a picture never reaches a file


class BodyReader:
    """Reads the bodies of one server. A body has `seconds` to arrive."""

    def __init__(self, receiving: Receiving, bodies: Bodies, seconds: float, metrics: Metrics) -> None:
        self._receiving = receiving
        self._bodies = bodies
        self._seconds = seconds
        self._metrics = metrics

    async def body(self, request: Request, call: CallContext, most: int) -> bytes:
        """The whole body of at most `most` bytes. Raises what `reading` does."""
        async with self.reading(request, call, most) as chunks:
            return b"".join([chunk async for chunk in chunks])

    async def form(self, request: Request, call: CallContext, most: int) -> FormData:
        """The fields of a multipart body, files in memory. Raises what `reading` does, and `MalformedRequestError`."""
        async with self.reading(request, call, most) as chunks:
            return await fields(request, chunks)

    @asynccontextmanager
    async def reading(
        self, request: Request, call: CallContext, most: int
    ) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """The body in chunks, expanded if it is compressed.

        Raises `ImageTooLargeError` beyond `most` bytes, `DeadlineError` if it is slow, `OverloadedError`, `MalformedRequestError`,
        `UnsupportedEncodingError`.
        """
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            raise too_large(most)
        with arriving(self._receiving, call), self._bodies.body(call.caller) as body:
            seconds = min(self._seconds, max(0.0, call.seconds_left))
            try:
                async with asyncio.timeout(seconds) as body.ends:
                    yield self._chunks(request, body, most)
            except TimeoutError:
                if body.stopped:
                    raise self._counted(_stopped()) from None
                raise self._counted(DeadlineError(f"the request did not arrive within {seconds:.3g} s")) from None
            except MalformedRequestError as error:
                raise self._counted(error) from None
            except ClientDisconnect:
                raise asyncio.CancelledError from None

    def _counted(self, error: ImagierError) -> ImagierError:
        self._metrics.refused_calls.labels(error.cause).inc()
        return error

    async def _chunks(self, request: Request, body: Body, most: int) -> AsyncGenerator[bytes, None]:
        expand = _expanding(request.headers.get("content-encoding", "identity"))
        size = received = 0
        async for arrived in request.stream():
            received += len(arrived)
            if received > most:  # what expands to nothing is bounded, too
                raise too_large(most)
            for chunk in expand(arrived):
                size += len(chunk)
                if size > most:
                    raise too_large(most)
                self._bodies.add(body, len(chunk))
                if body.stopped:
                    raise self._counted(_stopped())
                yield chunk
        expand.check_end()
        if body.ends and not body.stopped:
            body.ends.reschedule(None)  # it is here; what it is passed on to may take its time


async def fields(request: Request, chunks: AsyncGenerator[bytes, None]) -> FormData:
    """The fields of a multipart body, files in memory. Raises `MalformedRequestError`."""
    parser = _InMemory(request.headers, chunks, max_files=1, max_fields=MAX_FIELDS, max_part_size=FIELD_BYTES)
    try:
        return await parser.parse()
    except (MultiPartException, UnicodeError, LookupError):
        raise MalformedRequestError(
            f"the form cannot be read: it may have {MAX_FIELDS} fields of {FIELD_BYTES} bytes, and one file"
        ) from None


def arriving(receiving: Receiving, call: CallContext) -> AbstractContextManager[object]:
    """The place of a call whose request arrives. A batch's call has one already. Raises `OverloadedError`."""
    return receiving.call(call.caller) if call.waits_until is None else nullcontext()


def too_large(most: int) -> ImageTooLargeError:
    """The error of a body of more than `most` bytes."""
    return ImageTooLargeError(f"the request has more than {most} bytes: send a smaller picture file")


def _stopped() -> OverloadedError:
    return OverloadedError("too many bytes of requests are being received", Full.ARRIVING)


class _Plain:
    def __call__(self, chunk: bytes) -> Iterator[bytes]:
        return iter((chunk,))

    def check_end(self) -> None:
        pass


class _Gzip:
    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_GZIP)

    def __call__(self, chunk: bytes) -> Iterator[bytes]:
        try:
            while piece := self._inflate.decompress(chunk, _PIECE):
                yield piece
                chunk = self._inflate.unconsumed_tail
        except zlib.error:
            raise _not_gzip() from None
        if self._inflate.unused_data:  # zlib would keep all that follows
            raise MalformedRequestError("the body goes on after the end of its gzip")

    def check_end(self) -> None:
        """Raises `MalformedRequestError` if the body ended early."""
        if not self._inflate.eof:
            raise _not_gzip()


def _not_gzip() -> MalformedRequestError:
    return MalformedRequestError("the body is not gzip, as content-encoding says, or it is cut off")


def _expanding(encoding: str) -> _Plain | _Gzip:
    match encoding.strip().lower():
        case "" | "identity":
            return _Plain()
        case "gzip":
            return _Gzip()
    raise UnsupportedEncodingError("this content-encoding is not read here: send the body plain, or as gzip")
