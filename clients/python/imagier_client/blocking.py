# SPDX-License-Identifier: Apache-2.0
"""The blocking client: the asyncio client's decisions over gRPC's blocking stubs, without an event loop."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from datetime import date
from functools import partial
from typing import Any, Self, TypeVar

import grpc
from imagier.v1 import account_pb2, account_pb2_grpc, annotator_pb2, annotator_pb2_grpc, catalog_pb2

from imagier_client import account
from imagier_client.account import Balance, DailyUsage, Quote
from imagier_client.arguments import iterable, pair, positive, seconds, strings
from imagier_client.blocking_stream import Stream
from imagier_client.channel import (
    HEALTH_METHOD,
    HEALTH_REQUEST,
    PATIENT,
    endpoint,
    expect_serving,
)
from imagier_client.codec import about, about_each, decode_annotation, decode_catalog, encode_request
from imagier_client.errors import FORKED, ClientStateError, DeadlineError, ImagierClientError
from imagier_client.keywords import KeywordMatches, decode_keywords, encode_keywords
from imagier_client.messages import Annotation, Catalog, Limits
from imagier_client.reading import Image, read_image
from imagier_client.retry import Attempts, RetryPolicy, silence
from imagier_client.tasks.task import TaskOptions
from imagier_client.teaching import TrainedLabel, decode_label, encode_examples
from imagier_client.texts import TextVectors, decode_texts, encode_texts
from imagier_client.vectors import Vector
from imagier_client.window import Answer, Waiting, Window

K = TypeVar("K")
T = TypeVar("T")

_END: Any = object()


class Client:
    """Talks to Imagier over one channel; may be shared by threads. Use it as `with Client("host:port") as client`.

    Several servers, each call to the next: a name that has an address for each, or "IP:PORT,IP:PORT".
    `timeout` (seconds; `None` for none) is each single call's default. `credentials` make it TLS: `tls("ca.pem")`.
    `on_wait` is called when annotate_many has to wait for the server; an exception that it raises ends the run.
    Every method raises ImagierClientError, and no error of gRPC.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout: float | None = 60.0,
        credentials: grpc.ChannelCredentials | None = None,
        key: str | None = None,
        retry: RetryPolicy | None = None,
        on_wait: Callable[[Waiting], object] | None = None,
    ) -> None:
        self._endpoint = endpoint(target)
        self._timeout = seconds(timeout)
        self._metadata = account.metadata(key)
        self._retry = retry or RetryPolicy()
        self._on_wait = on_wait
        self._limits: Limits | None = None
        self._limits_lock = threading.Lock()
        self._sleep = time.sleep
        self._pid = os.getpid()
        self._closed = False
        self._made_channel = (
            grpc.secure_channel(self._endpoint.uri, credentials, options=self._endpoint.options)
            if credentials
            else grpc.insecure_channel(self._endpoint.uri, options=self._endpoint.options)
        )
        self._made_stub = annotator_pb2_grpc.AnnotatorServiceStub(self._made_channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the channel. Calls in flight fail."""
        self._closed = True
        if self._pid == os.getpid():
            self._made_channel.close()

    def annotate(
        self,
        image: Image,
        *tasks: TaskOptions[Any],
        languages: Sequence[str] = ("en",),
        request_id: str = "",
        timeout: float | None = None,
        receipt_nonce: bytes | None = None,
    ) -> Annotation:
        """Does what AsyncClient.annotate does."""
        attempts, once = self._attempts(timeout), account.charged_once(self._metadata)
        languages = strings(languages, "languages")
        asked = encode_request(b"", tasks, languages, request_id, receipt_nonce)
        request = about(asked, read_image(image, self._known_limits(attempts)))
        reply = self._call(lambda left: self._stub.Annotate(request, timeout=left, metadata=once), attempts)
        return decode_annotation(reply, languages)

    def annotate_many(
        self,
        images: Iterable[tuple[K, Image]],
        *tasks: TaskOptions[Any],
        languages: Sequence[str] = ("en",),
        in_flight: int = 8,
        timeout: float | None = None,
        receipt_nonce: Callable[[K], bytes] | None = None,
    ) -> Generator[Answer[K], None, None]:
        """Does what AsyncClient.annotate_many does.

        `images` is iterated in the calling thread, up to `in_flight` ahead of the answers: an answer waits for the pictures that
        are taken before it.
        """
        iterable(images, Iterable)
        languages = strings(languages, "languages")
        asked = encode_request(b"", tasks, languages)
        window = Window[K](positive(in_flight, "in_flight"), self._retry, languages, seconds(timeout))
        return self._many(iter(images), about_each(asked, receipt_nonce), window, silence(seconds(timeout)))

    def match_keywords(
        self,
        keywords: Iterable[str],
        *,
        languages: Sequence[str] = ("en",),
        keyword_languages: Sequence[str] = (),
        timeout: float | None = None,
    ) -> KeywordMatches:
        """Does what AsyncClient.match_keywords does."""
        attempts = self._attempts(timeout)
        languages = strings(languages, "languages")
        match = partial(self._stub.MatchKeywords, metadata=self._metadata)
        replies = [
            self._call(lambda left, request=request: match(request, timeout=left), attempts)  # type: ignore[misc]
            for request in encode_keywords(keywords, languages, keyword_languages)
        ]
        return decode_keywords(replies, languages)

    def embed_text(
        self,
        texts: Iterable[str],
        *,
        languages: Sequence[str] = (),
        encoding: str = "float32",
        timeout: float | None = None,
    ) -> TextVectors:
        """Does what AsyncClient.embed_text does."""
        attempts, once = self._attempts(timeout), account.charged_once(self._metadata)
        embed = partial(self._stub.EmbedText, metadata=once)
        replies = [
            self._call(lambda left, request=request: embed(request, timeout=left), attempts)  # type: ignore[misc]
            for request in encode_texts(texts, languages, encoding)
        ]
        return decode_texts(replies)

    def train_label(
        self, label: str, positives: Iterable[Vector], negatives: Iterable[Vector], *, timeout: float | None = None
    ) -> TrainedLabel:
        """Does what AsyncClient.train_label does."""
        once, request = account.charged_once(self._metadata), encode_examples(label, positives, negatives)
        ask = partial(self._stub.TrainLabel, request, metadata=once)
        return decode_label(self._call(lambda left: ask(timeout=left), self._attempts(timeout)))

    def catalog(self, *, timeout: float | None = None) -> Catalog:
        """Does what AsyncClient.catalog does."""
        return self._catalog(self._attempts(timeout))

    def balance(self, *, tenant: str = "", timeout: float | None = None) -> Balance:
        """Does what AsyncClient.balance does."""
        request = account_pb2.GetBalanceRequest(tenant=tenant)
        ask = partial(self._accounts.GetBalance, request, metadata=self._metadata)
        return account.decode_balance(self._call(lambda left: ask(timeout=left), self._attempts(timeout)))

    def usage(
        self, first: date | None = None, last: date | None = None, *, tenant: str = "", timeout: float | None = None
    ) -> Sequence[DailyUsage]:
        """Does what AsyncClient.usage does."""
        ask = partial(self._accounts.ListUsage, account.usage_request(first, last, tenant), metadata=self._metadata)
        return account.decode_usage(self._call(lambda left: ask(timeout=left), self._attempts(timeout)))

    def quote(self, *tasks: str, pictures: int = 1, timeout: float | None = None) -> Quote:
        """Does what AsyncClient.quote does."""
        request = account_pb2.QuoteAnnotateRequest(tasks=tasks, pictures=positive(pictures, "pictures"))
        ask = partial(self._accounts.QuoteAnnotate, request, metadata=self._metadata)
        return account.decode_quote(self._call(lambda left: ask(timeout=left), self._attempts(timeout)))

    def wait_ready(self, *, timeout: float | None = None) -> None:
        """Does what AsyncClient.wait_ready does."""
        check = self._channel.unary_unary(HEALTH_METHOD, bytes, bytes)
        self._call(lambda left: expect_serving(check(HEALTH_REQUEST, timeout=left)), self._attempts(timeout, PATIENT))

    def _many(
        self,
        source: Iterator[tuple[K, Image]],
        encode: Callable[[K, bytes], annotator_pb2.AnnotateRequest],
        window: Window[K],
        most_silence: float,
    ) -> Generator[Answer[K], None, None]:
        limits = self._known_limits(self._attempts(None))
        stream = Stream(lambda: self._stub, self._endpoint, most_silence, account.charged_once(self._metadata))
        try:
            while True:
                while window.room and (item := next(source, _END)) is not _END:
                    key, image = pair(item)
                    try:
                        request = encode(key, read_image(image, limits))
                    except ImagierClientError as error:
                        yield key, error
                        continue
                    window.add(key, request)
                    stream.move(window)
                if not window.unanswered:
                    break
                stream.move(window)
                if (waiting := window.waiting()) and self._on_wait:
                    self._on_wait(waiting)
                answer = stream.take(window)
                if answer is not None:
                    yield answer
            stream.finish()
        finally:
            stream.close()

    @property
    def _channel(self) -> grpc.Channel:
        if self._closed:
            raise ClientStateError("this client is closed")
        if self._pid != os.getpid():
            raise ClientStateError(FORKED)
        return self._made_channel

    @property
    def _stub(self) -> annotator_pb2_grpc.AnnotatorServiceStub:
        assert self._channel
        return self._made_stub

    @property
    def _accounts(self) -> account_pb2_grpc.AccountServiceStub:
        return account_pb2_grpc.AccountServiceStub(self._channel)

    def _attempts(self, timeout: float | None, policy: RetryPolicy | None = None) -> Attempts:
        return Attempts(policy or self._retry, self._timeout if timeout is None else seconds(timeout))

    def _call(self, method: Callable[[float | None], T], attempts: Attempts) -> T:
        while True:
            try:
                return method(attempts.remaining())
            except grpc.RpcError as error:
                delay = attempts.failed(self._endpoint.failure(error))
            except ImagierClientError as error:
                delay = attempts.failed(error)
            self._sleep(delay)

    def _catalog(self, attempts: Attempts) -> Catalog:
        request = catalog_pb2.GetCatalogRequest()
        catalog = decode_catalog(
            self._call(lambda left: self._stub.GetCatalog(request, timeout=left, metadata=self._metadata), attempts)
        )
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
