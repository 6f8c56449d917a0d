# SPDX-License-Identifier: Apache-2.0
"""The two ends of AsyncClient.annotate_many: the iterator that pictures come from, and the gRPC stream that they go to."""

from __future__ import annotations

# ruff: noqa: ASYNC109 - a gRPC deadline goes to the server; asyncio.timeout would not
import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Collection, Coroutine, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import grpc
import grpc.aio
from imagier.v1 import annotator_pb2

from imagier_client.account import Metadata
from imagier_client.arguments import pair
from imagier_client.channel import GOODBYE_SECONDS, Endpoint
from imagier_client.errors import ImagierClientError
from imagier_client.messages import Limits
from imagier_client.reading import Image, read_image
from imagier_client.window import Answer, Window

if TYPE_CHECKING:
    from imagier.v1.annotator_pb2_grpc import AnnotatorServiceAsyncStub

K = TypeVar("K")

_FAILED_WRITE = "Internal error from Core"


class Source(Generic[K]):
    """Takes the caller's pictures one at a time, and reads each while the stream goes on."""

    def __init__(
        self,
        images: Iterable[tuple[K, Image]] | AsyncIterable[tuple[K, Image]],
        limits: Limits,
        encode: Callable[[K, bytes], annotator_pb2.AnnotateRequest],
    ) -> None:
        self._images = _iterate(images)
        self._limits = limits
        self._encode = encode
        self._pull: asyncio.Task[tuple[K, bytes | ImagierClientError] | None] | None = None
        self.exhausted = False

    @property
    def tasks(self) -> set[asyncio.Task[Any]]:
        """The asyncio tasks to wait for."""
        return {self._pull} if self._pull is not None else set()

    def move(self, window: Window[K]) -> None:
        """Starts to take the next picture if the window has room for it."""
        if self._pull is None and window.room and not self.exhausted:
            self._pull = asyncio.create_task(self._next())

    def take(self, window: Window[K]) -> Answer[K] | None:
        """Puts a picture that has come into the window. One that cannot be read is its own answer."""
        if self._pull is None or not self._pull.done():
            return None
        pulled, self._pull = self._pull.result(), None
        if pulled is None:
            self.exhausted = True
            return None
        key, content = pulled
        if isinstance(content, ImagierClientError):
            return key, content
        try:
            window.add(key, self._encode(key, content))
        except ImagierClientError as error:
            return key, error
        return None

    async def close(self) -> None:
        """Closes the caller's iterator."""
        if self._pull is not None:
            await _cancel(self._pull)
        await self._images.aclose()

    async def _next(self) -> tuple[K, bytes | ImagierClientError] | None:
        try:
            key, image = pair(await anext(self._images))
        except StopAsyncIteration:
            return None
        try:
            return key, await read_image_aside(image, self._limits)
        except ImagierClientError as error:
            return key, error


class Stream:
    """Keeps one AnnotateStream call open while there is something to send, with at most one write and one read in flight."""

    def __init__(
        self, stub: Callable[[], AnnotatorServiceAsyncStub], endpoint: Endpoint, metadata: Metadata = ()
    ) -> None:
        self._stub = stub
        self._metadata = metadata
        self._endpoint = endpoint
        self._call: grpc.aio.StreamStreamCall[Any, Any] | None = None
        self._write: asyncio.Task[None] | None = None
        self._read: asyncio.Task[annotator_pb2.AnnotateStreamResponse | ImagierClientError | None] | None = None

    @property
    def tasks(self) -> set[asyncio.Task[Any]]:
        """The asyncio tasks to wait for."""
        return {task for task in (self._write, self._read) if task is not None}

    @property
    def writing(self) -> bool:
        """Whether a write is in flight."""
        return self._write is not None

    def move(self, window: Window[Any]) -> None:
        """Opens the call and starts a write and a read, as far as there is something to send."""
        if self._write is not None and self._write.done():
            self._write = None
        request = window.next_to_send() if self._write is None else None
        if self._call is None:
            if request is None:
                return
            self._ending = ending = asyncio.get_running_loop().create_future()
            self._call = call = self._stub().AnnotateStream(metadata=self._metadata)  # type: ignore[call-arg]  # the published stubs know one style
            call.add_done_callback(lambda _: _keep_status(call, ending, self._endpoint))
        if self._read is None:
            self._read = asyncio.create_task(_read(self._call, self._ending, self._endpoint))
        if request is not None:
            self._write = asyncio.create_task(_write(self._call, request))

    async def take(self, window: Window[K]) -> Answer[K] | None:
        """An answer for the caller, if there is one. A call that has ended is dropped and reported to the window."""
        if self._read is None or not self._read.done():
            return None
        message, self._read = self._read.result(), None
        if isinstance(message, annotator_pb2.AnnotateStreamResponse):
            return window.receive(message)
        await self.close()
        window.broken(message)
        return None

    async def finish(self) -> None:
        """Half-closes the call and waits a moment for the server to end it, so that neither side sees a cancellation."""
        if self._call is not None:
            if self._write is not None:
                await first({self._write}, GOODBYE_SECONDS)
            await self._call.done_writing()
            await first(
                {self._read or asyncio.create_task(_read(self._call, self._ending, self._endpoint))}, GOODBYE_SECONDS
            )

    async def close(self) -> None:
        """Cancels the call, if there is one."""
        tasks, call = self.tasks, self._call
        self._call = self._write = self._read = None
        for task in tasks:
            await _cancel(task)
        if call is not None:
            call.cancel()


async def first(tasks: Collection[asyncio.Future[Any]], timeout: float | None) -> bool:
    """Waits until one of them is done, at most `timeout` seconds; False if none is, or there is none."""
    if not tasks:
        await asyncio.sleep(timeout or 0.0)
        return False
    done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    return bool(done)


async def _read(
    call: Any, ending: asyncio.Future[ImagierClientError | None], endpoint: Endpoint
) -> annotator_pb2.AnnotateStreamResponse | ImagierClientError | None:
    """The next answer, `None` at an orderly end or one whose reason cannot be known, or why the call ended."""
    try:
        message = await call.read()
    except grpc.aio.AioRpcError as error:
        if error.details() != _FAILED_WRITE:
            return endpoint.failure(error)
        await first({ending}, GOODBYE_SECONDS)
        return ending.result() if ending.done() else None
    return message if isinstance(message, annotator_pb2.AnnotateStreamResponse) else None


def _keep_status(call: Any, ending: asyncio.Future[ImagierClientError | None], endpoint: Endpoint) -> None:
    """Notes why the server ended the call. A write that fails because of it replaces that status (grpc/grpc#36066)."""
    code, details, trailing = (_without_waiting(part()) for part in (call.code, call.details, call.trailing_metadata))
    if details == _FAILED_WRITE or ending.done():
        return
    error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details, None)
    ending.set_result(None if code is grpc.StatusCode.OK else endpoint.failure(error))


def _without_waiting(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that has nothing to wait for: parts of a call's status, once it is there."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    return None


async def _write(call: Any, request: annotator_pb2.AnnotateStreamRequest) -> None:
    # A write fails only where the read fails too, and that one says why.
    with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        await call.write(request)


async def read_image_aside(image: Image, limits: Limits) -> bytes:
    """Reads as `read_image` does, files in a thread."""
    return read_image(image, limits) if isinstance(image, bytes) else await asyncio.to_thread(read_image, image, limits)


async def _iterate(
    images: Iterable[tuple[K, Image]] | AsyncIterable[tuple[K, Image]],
) -> AsyncGenerator[tuple[K, Image], None]:
    if isinstance(images, AsyncIterable):
        async for item in images:
            yield item
    else:
        for item in images:
            yield item


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # looked at, so that asyncio does not report it as forgotten
