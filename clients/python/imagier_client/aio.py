# SPDX-License-Identifier: Apache-2.0
"""The asyncio client. It waits and talks; what to send, what an answer means and when to try again is decided elsewhere."""

from __future__ import annotations

# ruff: noqa: ASYNC109 - a gRPC deadline goes to the server; asyncio.timeout would not
import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Self, TypeVar, cast

import grpc
import grpc.aio
from imagier.v1 import annotator_pb2_grpc, catalog_pb2
from imagier.v1.keywords_pb2 import MatchKeywordsRequest, MatchKeywordsResponse

from imagier_client.aio_stream import Source, Stream, first, read_image_aside
from imagier_client.channel import HEALTH_METHOD, HEALTH_REQUEST, OPTIONS, PATIENT, endpoint, expect_serving
from imagier_client.codec import decode_annotation, decode_catalog, encode_request
from imagier_client.errors import DeadlineError, ImagierClientError, from_rpc_error
from imagier_client.keywords import KeywordMatches, decode_keywords, encode_keywords
from imagier_client.messages import Annotation, CaptionOptions, Catalog, Limits, TagsOptions, TextOptions
from imagier_client.reading import Image
from imagier_client.retry import Attempts, RetryPolicy, stream_patience
from imagier_client.window import Answer, Window

if TYPE_CHECKING:
    from imagier.v1.annotator_pb2_grpc import AnnotatorServiceAsyncStub

K = TypeVar("K")
T = TypeVar("T")


class AsyncClient:
    """Talks to Imagier over one channel. Use it as `async with AsyncClient("host:port") as client`.

    Several servers, each call to the next: a name that has an address for each, or "IP:PORT,IP:PORT".
    `timeout` (seconds; `None` for none) is each call's default. `credentials` make it TLS, e.g. `grpc.ssl_channel_credentials()`.
    Every method raises ImagierClientError and no other error of the transport.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout: float | None = 60.0,
        credentials: grpc.ChannelCredentials | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._target = target
        self._timeout = timeout
        self._credentials = credentials
        self._retry = retry or RetryPolicy()
        self._limits: Limits | None = None
        self._limits_lock = asyncio.Lock()
        self._sleep = asyncio.sleep

    async def __aenter__(self) -> Self:
        # The channel belongs to the running event loop, so it is made here and not in the constructor.
        self._channel = (
            grpc.aio.secure_channel(endpoint(self._target), self._credentials, options=OPTIONS)
            if self._credentials
            else grpc.aio.insecure_channel(endpoint(self._target), options=OPTIONS)
        )
        self._stub = cast("AnnotatorServiceAsyncStub", annotator_pb2_grpc.AnnotatorServiceStub(self._channel))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close(None)

    async def annotate(
        self,
        image: Image,
        *,
        tags: TagsOptions | bool = False,
        text: TextOptions | bool = False,
        caption: CaptionOptions | bool = False,
        languages: Sequence[str] = ("en",),
        request_id: str = "",
        timeout: float | None = None,
    ) -> Annotation:
        """Annotates one picture, given as its file's bytes or as a path.

        A task that fails alone does not raise: its result carries the error. Raises InvalidImageError, ImageTooLargeError,
        UnreadableFileError, InvalidRequestError, ExhaustedError, UnavailableError, DeadlineError.
        """
        attempts = self._attempts(timeout)
        content = await read_image_aside(image, await self._known_limits(attempts))
        request = encode_request(
            content, tags=tags, text=text, caption=caption, languages=languages, request_id=request_id
        )
        reply = await self._call(lambda seconds: self._stub.Annotate(request, timeout=seconds), attempts)
        return decode_annotation(reply, languages)

    async def annotate_many(
        self,
        images: Iterable[tuple[K, Image]] | AsyncIterable[tuple[K, Image]],
        *,
        tags: TagsOptions | bool = False,
        text: TextOptions | bool = False,
        caption: CaptionOptions | bool = False,
        languages: Sequence[str] = ("en",),
        in_flight: int = 8,
        timeout: float | None = None,
    ) -> AsyncGenerator[Answer[K], None]:
        """Annotates (key, picture) pairs over a stream; yields (key, Annotation or ImagierClientError) as they finish.

        Keys are the caller's and stay here. At most `in_flight` pictures are held at once; files are read only when their turn
        comes. A picture's failure is its own answer. A broken stream is opened again and what was not answered is sent again.
        Raises the error if the server cannot be reached for good, DeadlineError if nothing moves for `timeout` seconds.
        """
        patience = stream_patience(self._timeout) if timeout is None else timeout
        limits = await self._known_limits(self._attempts(timeout))
        window = Window[K](in_flight, self._retry, languages)
        source = Source(
            images,
            limits,
            lambda content: encode_request(content, tags=tags, text=text, caption=caption, languages=languages),
        )
        stream = Stream()
        try:
            while window.unanswered or not source.exhausted:
                source.move(window)
                if window.delay:
                    delay, window.delay = window.delay, 0.0
                    await self._sleep(delay)
                stream.move(self._stub, window)
                if not await first(source.tasks | stream.tasks, patience if window.unanswered else None):
                    raise DeadlineError("the server has not moved for too long")
                for answer in (source.take(window), await stream.take(window)):
                    if answer is not None:
                        yield answer
            await stream.finish()
        finally:
            await source.close()
            await stream.close()

    async def match_keywords(
        self,
        keywords: Iterable[str],
        *,
        languages: Sequence[str] = ("en",),
        keyword_languages: Sequence[str] = (),
        timeout: float | None = None,
    ) -> KeywordMatches:
        """Which tags the keywords of a library mean; any number, in as many calls as the contract needs.

        `languages` are those of the names, `keyword_languages` those that the keywords are written in: all that the server speaks
        if there are none. `timeout` is for all calls together. Raises InvalidRequestError for one that is too long.
        """
        attempts = self._attempts(timeout)
        replies = []
        for request in encode_keywords(keywords, languages, keyword_languages):

            async def ask(seconds: float | None, request: MatchKeywordsRequest = request) -> MatchKeywordsResponse:
                return await self._stub.MatchKeywords(request, timeout=seconds)

            replies.append(await self._call(ask, attempts))
        return decode_keywords(replies, languages)

    async def catalog(self, *, timeout: float | None = None) -> Catalog:
        """What the server can do now: tasks, options, models with their terms, languages, limits, formats."""
        return await self._catalog(self._attempts(timeout))

    async def wait_ready(self, *, timeout: float | None = None) -> None:
        """Returns once every model of the server is ready. Raises UnavailableError with the last reason if that takes too long."""
        check = self._channel.unary_unary(HEALTH_METHOD, bytes, bytes)

        async def serving(seconds: float | None) -> None:
            expect_serving(await check(HEALTH_REQUEST, timeout=seconds))

        await self._call(serving, Attempts(PATIENT, self._timeout if timeout is None else timeout))

    def _attempts(self, timeout: float | None) -> Attempts:
        return Attempts(self._retry, self._timeout if timeout is None else timeout)

    async def _call(self, method: Callable[[float | None], Awaitable[T]], attempts: Attempts) -> T:
        while True:
            try:
                return await method(attempts.remaining())
            except grpc.aio.AioRpcError as error:
                delay = attempts.failed(from_rpc_error(error))
            except ImagierClientError as error:
                delay = attempts.failed(error)
            await self._sleep(delay)

    async def _catalog(self, attempts: Attempts) -> Catalog:
        request = catalog_pb2.GetCatalogRequest()
        catalog = decode_catalog(
            await self._call(lambda seconds: self._stub.GetCatalog(request, timeout=seconds), attempts)
        )
        self._limits = catalog.limits
        return catalog

    async def _known_limits(self, attempts: Attempts) -> Limits:
        if self._limits is None:
            try:
                async with asyncio.timeout(attempts.remaining()):
                    await self._limits_lock.acquire()
            except TimeoutError:
                raise DeadlineError("the server's catalogue does not come") from None
            try:
                return self._limits or (await self._catalog(attempts)).limits
            finally:
                self._limits_lock.release()
        return self._limits
