# SPDX-License-Identifier: Apache-2.0
"""The blocking client: the same decisions as the asyncio one over gRPC's blocking stubs; no event loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from queue import Empty, Queue
from typing import Any, Self, TypeVar

import grpc
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, catalog_pb2

from imagier_client.channel import (
    GOODBYE_SECONDS,
    HEALTH_METHOD,
    HEALTH_REQUEST,
    OPTIONS,
    PATIENT,
    endpoint,
    expect_serving,
)
from imagier_client.codec import decode_annotation, decode_catalog, encode_request
from imagier_client.errors import DeadlineError, ImagierClientError, from_rpc_error
from imagier_client.keywords import KeywordMatches, decode_keywords, encode_keywords
from imagier_client.messages import Annotation, CaptionOptions, Catalog, Limits, TagsOptions, TextOptions
from imagier_client.reading import Image, read_image
from imagier_client.retry import Attempts, RetryPolicy, stream_patience
from imagier_client.window import Answer, Window

K = TypeVar("K")
T = TypeVar("T")


class Client:
    """Talks to Imagier over one channel; may be shared by threads. Use it as `with Client("host:port") as client`.

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
        self._timeout = timeout
        self._retry = retry or RetryPolicy()
        self._limits: Limits | None = None
        self._limits_lock = threading.Lock()
        self._sleep = time.sleep
        self._channel = (
            grpc.secure_channel(endpoint(target), credentials, options=OPTIONS)
            if credentials
            else grpc.insecure_channel(endpoint(target), options=OPTIONS)
        )
        self._stub = annotator_pb2_grpc.AnnotatorServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the channel; calls under way fail."""
        self._channel.close()

    def annotate(
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
        """As AsyncClient.annotate."""
        attempts = self._attempts(timeout)
        content = read_image(image, self._known_limits(attempts))
        request = encode_request(
            content, tags=tags, text=text, caption=caption, languages=languages, request_id=request_id
        )
        return decode_annotation(
            self._call(lambda seconds: self._stub.Annotate(request, timeout=seconds), attempts), languages
        )

    def annotate_many(
        self,
        images: Iterable[tuple[K, Image]],
        *,
        tags: TagsOptions | bool = False,
        text: TextOptions | bool = False,
        caption: CaptionOptions | bool = False,
        languages: Sequence[str] = ("en",),
        in_flight: int = 8,
        timeout: float | None = None,
    ) -> Generator[Answer[K], None, None]:
        """As AsyncClient.annotate_many.

        `images` is iterated in the calling thread, up to `in_flight` ahead of the answers: an answer waits for the pictures that
        are taken before it.
        """
        patience = stream_patience(self._timeout) if timeout is None else timeout
        limits = self._known_limits(self._attempts(timeout))
        window = Window[K](in_flight, self._retry, languages)
        source = iter(images)
        stream: _Stream | None = None
        try:
            while True:
                while window.room and (item := next(source, None)) is not None:
                    try:
                        content = read_image(item[1], limits)
                    except ImagierClientError as error:
                        yield item[0], error
                        continue
                    window.add(
                        item[0], encode_request(content, tags=tags, text=text, caption=caption, languages=languages)
                    )
                    stream = self._send(stream, window)
                if not window.unanswered:
                    break
                stream = self._send(stream, window)
                message = stream.next_answer(patience)
                if isinstance(message, annotator_pb2.AnnotateStreamResponse):
                    answer = window.receive(message)
                    if answer is not None:
                        yield answer
                else:
                    stream.close()
                    stream = None
                    window.broken(message)
            if stream is not None:
                stream.finish()
        finally:
            if stream is not None:
                stream.close()

    def match_keywords(
        self,
        keywords: Iterable[str],
        *,
        languages: Sequence[str] = ("en",),
        keyword_languages: Sequence[str] = (),
        timeout: float | None = None,
    ) -> KeywordMatches:
        """As AsyncClient.match_keywords."""
        attempts = self._attempts(timeout)
        replies = [
            self._call(lambda seconds, request=request: self._stub.MatchKeywords(request, timeout=seconds), attempts)  # type: ignore[misc]
            for request in encode_keywords(keywords, languages, keyword_languages)
        ]
        return decode_keywords(replies, languages)

    def catalog(self, *, timeout: float | None = None) -> Catalog:
        """As AsyncClient.catalog."""
        return self._catalog(self._attempts(timeout))

    def wait_ready(self, *, timeout: float | None = None) -> None:
        """As AsyncClient.wait_ready."""
        check = self._channel.unary_unary(HEALTH_METHOD, bytes, bytes)
        self._call(
            lambda seconds: expect_serving(check(HEALTH_REQUEST, timeout=seconds)),
            Attempts(PATIENT, self._timeout if timeout is None else timeout),
        )

    def _attempts(self, timeout: float | None) -> Attempts:
        return Attempts(self._retry, self._timeout if timeout is None else timeout)

    def _call(self, method: Callable[[float | None], T], attempts: Attempts) -> T:
        while True:
            try:
                return method(attempts.remaining())
            except grpc.RpcError as error:
                delay = attempts.failed(from_rpc_error(error))
            except ImagierClientError as error:
                delay = attempts.failed(error)
            self._sleep(delay)

    def _catalog(self, attempts: Attempts) -> Catalog:
        request = catalog_pb2.GetCatalogRequest()
        catalog = decode_catalog(self._call(lambda seconds: self._stub.GetCatalog(request, timeout=seconds), attempts))
        self._limits = catalog.limits
        return catalog

    def _known_limits(self, attempts: Attempts) -> Limits:
        if self._limits is None:
            remaining = attempts.remaining()
            if not self._limits_lock.acquire(timeout=-1 if remaining is None else remaining):
                raise DeadlineError("the server's catalogue does not come")
            try:
                return self._limits or self._catalog(attempts).limits
            finally:
                self._limits_lock.release()
        return self._limits

    def _send(self, stream: _Stream | None, window: Window[Any]) -> _Stream:
        if window.delay:
            delay, window.delay = window.delay, 0.0
            self._sleep(delay)
        stream = stream or _Stream(self._stub, window.size)
        while (request := window.next_to_send()) is not None:
            stream.send(request)
        return stream


class _Stream:
    """One AnnotateStream call. gRPC's thread takes the requests, ours waits for answers, so that a wait can have an end."""

    def __init__(self, stub: annotator_pb2_grpc.AnnotatorServiceStub, in_flight: int) -> None:
        # Neither gets full: a picture stays in flight until its answer was taken. The rest is room for the ends.
        self._requests: Queue[annotator_pb2.AnnotateStreamRequest | None] = Queue(in_flight + 2)
        self._answers: Queue[annotator_pb2.AnnotateStreamResponse | ImagierClientError | None] = Queue(in_flight + 1)
        self._call: Any = stub.AnnotateStream(iter(self._requests.get, None))
        threading.Thread(target=self._read, name="imagier-answers", daemon=True).start()

    def send(self, request: annotator_pb2.AnnotateStreamRequest) -> None:
        """Hands a request to gRPC, which sends it as fast as the server reads."""
        self._requests.put(request)

    def next_answer(self, timeout: float | None) -> annotator_pb2.AnnotateStreamResponse | ImagierClientError | None:
        """The next answer, `None` at an orderly end, or why the call ended. Raises DeadlineError after `timeout` seconds."""
        try:
            return self._answers.get(timeout=timeout)
        except Empty:
            raise DeadlineError("the server has not moved for too long") from None

    def finish(self) -> None:
        """Says that nothing more comes and waits a moment for the server's own end, so that it sees an orderly one."""
        self._requests.put(None)
        with suppress(Empty):
            self._answers.get(timeout=GOODBYE_SECONDS)

    def close(self) -> None:
        """Drops the call and lets both threads end."""
        self._call.cancel()
        self._requests.put(None)
        # A server that sent more than it was asked for must not hold our thread.
        with suppress(Empty):
            while True:
                self._answers.get_nowait()

    def _read(self) -> None:
        try:
            for message in self._call:
                self._answers.put(message)
        except grpc.RpcError as error:
            self._answers.put(from_rpc_error(error))
        else:
            self._answers.put(None)
