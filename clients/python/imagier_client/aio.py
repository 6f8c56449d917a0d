# SPDX-License-Identifier: Apache-2.0
"""The asyncio client: sends and waits. Encoding, retry decisions and the bookkeeping of streams are in modules of their own."""

from __future__ import annotations

# ruff: noqa: ASYNC109 - a gRPC deadline goes to the server; asyncio.timeout would not
import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Sequence
from datetime import date
from functools import partial
from typing import Any, TypeVar

from imagier.v1 import account_pb2, annotator_pb2
from imagier.v1.keywords_pb2 import MatchKeywordsRequest, MatchKeywordsResponse

from imagier_client import account
from imagier_client.account import Balance, DailyUsage, Quote
from imagier_client.aio_connection import AsyncConnection
from imagier_client.aio_stream import Source, Stream, first, read_image_aside
from imagier_client.arguments import iterable, positive, seconds, strings
from imagier_client.channel import HEALTH_METHOD, HEALTH_REQUEST, PATIENT, expect_serving
from imagier_client.codec import about, about_each, decode_annotation, encode_request
from imagier_client.errors import DeadlineError
from imagier_client.keywords import KeywordMatches, decode_keywords, encode_keywords
from imagier_client.messages import Annotation, Catalog
from imagier_client.reading import Image
from imagier_client.retry import silence
from imagier_client.tasks.task import TaskOptions
from imagier_client.teaching import TrainedLabel, decode_label, encode_examples
from imagier_client.texts import TextVectors, decode_texts, encode_texts
from imagier_client.vectors import Vector
from imagier_client.window import Answer, Window

K = TypeVar("K")


class AsyncClient(AsyncConnection):
    """Talks to Imagier over one channel, from one event loop. Use it as `async with AsyncClient("host:port") as client`.

    Several servers, each call to the next: a name that has an address for each, or "IP:PORT,IP:PORT".
    `timeout` (seconds; `None` for none) is each single call's default. `credentials` make it TLS: `tls("ca.pem")`.
    `on_wait` is called when annotate_many has to wait for the server; an exception that it raises ends the run.
    Every method raises ImagierClientError, and no error of gRPC.
    """

    async def annotate(
        self,
        image: Image,
        *tasks: TaskOptions[Any],
        languages: Sequence[str] = ("en",),
        request_id: str = "",
        timeout: float | None = None,
        receipt_nonce: bytes | None = None,
    ) -> Annotation:
        """Annotates one picture, given as its file's bytes or as a path, with `tasks` such as `Tags(max_tags=5), Ocr()`.

        `receipt_nonce`, 16 to 64 random bytes, asks for a signed receipt (`Annotation.receipt`).

        A task that fails alone does not raise: its result carries the error. Raises InvalidImageError, ImageTooLargeError,
        UnreadableFileError, InvalidRequestError, ExhaustedError, UnavailableError, DeadlineError.
        """
        attempts, once = self._attempts(timeout), account.charged_once(self._metadata)
        languages = strings(languages, "languages")
        asked = encode_request(b"", tasks, languages, request_id, receipt_nonce)
        request = about(asked, await read_image_aside(image, await self._known_limits(attempts)))
        reply = await self._call(lambda left: self._stub.Annotate(request, timeout=left, metadata=once), attempts)
        return decode_annotation(reply, languages)

    def annotate_many(
        self,
        images: Iterable[tuple[K, Image]] | AsyncIterable[tuple[K, Image]],
        *tasks: TaskOptions[Any],
        languages: Sequence[str] = ("en",),
        in_flight: int = 8,
        timeout: float | None = None,
        receipt_nonce: Callable[[K], bytes] | None = None,
    ) -> AsyncGenerator[Answer[K], None]:
        """Annotates (key, picture) pairs with `tasks` over a stream; yields (key, Annotation or ImagierClientError) as they finish.

        Keys are the caller's and stay here. At most `in_flight` pictures are held at once; files are read only when their turn
        comes. `timeout` is for the server's work on each picture, from its beginning; if `None`, the server's own limit.

        `receipt_nonce` returns the 16 to 64 random bytes of a key's picture, new ones for each, and asks for signed receipts.

        A picture's failure is its own answer. What may pass is waited out, as long as RetryPolicy.patience says: a broken stream is
        opened again and what was not answered is sent again; of a picture only the tasks that failed. Raises the error if nothing
        comes for so long, or the server refuses the stream for good.
        """
        iterable(images, Iterable, AsyncIterable)
        languages = strings(languages, "languages")
        asked = encode_request(b"", tasks, languages)
        window = Window[K](positive(in_flight, "in_flight"), self._retry, languages, seconds(timeout))
        return self._many(images, about_each(asked, receipt_nonce), window, silence(seconds(timeout)))

    async def match_keywords(
        self,
        keywords: Iterable[str],
        *,
        languages: Sequence[str] = ("en",),
        keyword_languages: Sequence[str] = (),
        timeout: float | None = None,
    ) -> KeywordMatches:
        """Matches the keywords of a library with tags. Takes any number of them, and makes as many calls as that needs.

        `languages` are for the names in the answer. `keyword_languages` are those that the keywords are written in; none stands for
        all languages of the server. `timeout` covers all calls together. Raises InvalidRequestError for one that is too long.
        """
        attempts = self._attempts(timeout)
        languages = strings(languages, "languages")
        replies = []
        for request in encode_keywords(keywords, languages, keyword_languages):

            async def ask(left: float | None, request: MatchKeywordsRequest = request) -> MatchKeywordsResponse:
                return await self._stub.MatchKeywords(request, timeout=left, metadata=self._metadata)

            replies.append(await self._call(ask, attempts))
        return decode_keywords(replies, languages)

    async def embed_text(
        self,
        texts: Iterable[str],
        *,
        languages: Sequence[str] = (),
        encoding: str = "float32",
        timeout: float | None = None,
    ) -> TextVectors:
        """Turns texts into vectors that can be compared with those of pictures (`Embedding`).

        Takes any number of texts, and makes as many calls as that needs. `languages` of the texts, if known. `encoding`:
        "float32", "float16", "int8" or "bits". `timeout` covers all calls together. Raises InvalidRequestError for an empty or long
        text, UnsupportedError if the server has no such model.
        """
        attempts, once = self._attempts(timeout), account.charged_once(self._metadata)
        replies = []
        for request in encode_texts(texts, languages, encoding):
            ask = partial(self._stub.EmbedText, request, metadata=once)
            replies.append(await self._call(lambda left, ask=ask: ask(timeout=left), attempts))  # type: ignore[misc]
        return decode_texts(replies)

    async def train_label(
        self, label: str, positives: Iterable[Vector], negatives: Iterable[Vector], *, timeout: float | None = None
    ) -> TrainedLabel:
        """Teaches a label by the vectors of pictures that have it and of others: `Tags(taught=(it.taught,))` then scores pictures.

        Raises DifferentSpaceError for vectors of two models, InvalidRequestError for too few or too many.
        """
        once, request = account.charged_once(self._metadata), encode_examples(label, positives, negatives)
        ask = partial(self._stub.TrainLabel, request, metadata=once)
        return decode_label(await self._call(lambda left: ask(timeout=left), self._attempts(timeout)))

    async def catalog(self, *, timeout: float | None = None) -> Catalog:
        """Fetches what the server can do now: tasks, options, models with their terms, languages, limits, formats."""
        return await self._catalog(self._attempts(timeout))

    async def balance(self, *, tenant: str = "", timeout: float | None = None) -> Balance:
        """What is left of the credits of the key's tenant; of another `tenant` for a key with the scope admin."""
        request = account_pb2.GetBalanceRequest(tenant=tenant)
        ask = partial(self._accounts.GetBalance, request, metadata=self._metadata)
        return account.decode_balance(await self._call(lambda left: ask(timeout=left), self._attempts(timeout)))

    async def usage(
        self, first: date | None = None, last: date | None = None, *, tenant: str = "", timeout: float | None = None
    ) -> Sequence[DailyUsage]:
        """What was used by day and task, from `first` to `last` (UTC, both included); by default in the last month."""
        ask = partial(self._accounts.ListUsage, account.usage_request(first, last, tenant), metadata=self._metadata)
        return account.decode_usage(await self._call(lambda left: ask(timeout=left), self._attempts(timeout)))

    async def quote(self, *tasks: str, pictures: int = 1, timeout: float | None = None) -> Quote:
        """What tasks, by name, would cost for so many pictures, and whether the credits suffice. Reserves nothing."""
        request = account_pb2.QuoteAnnotateRequest(tasks=tasks, pictures=positive(pictures, "pictures"))
        ask = partial(self._accounts.QuoteAnnotate, request, metadata=self._metadata)
        return account.decode_quote(await self._call(lambda left: ask(timeout=left), self._attempts(timeout)))

    async def wait_ready(self, *, timeout: float | None = None) -> None:
        """Returns once every model of the server is ready. Raises UnavailableError with the last reason if that takes too long."""
        check = self._connect().unary_unary(HEALTH_METHOD, bytes, bytes)

        async def serving(left: float | None) -> None:
            expect_serving(await check(HEALTH_REQUEST, timeout=left))

        await self._call(serving, self._attempts(timeout, PATIENT))

    async def _many(
        self,
        images: Iterable[tuple[K, Image]] | AsyncIterable[tuple[K, Image]],
        encode: Callable[[K, bytes], annotator_pb2.AnnotateRequest],
        window: Window[K],
        most_silence: float,
    ) -> AsyncGenerator[Answer[K], None]:
        limits = await self._known_limits(self._attempts(None))
        source = Source(images, limits, encode)
        stream = Stream(lambda: self._stub, self._endpoint, account.charged_once(self._metadata))
        loop = asyncio.get_running_loop()
        moved = loop.time()
        try:
            while window.unanswered or not source.exhausted:
                source.move(window)
                stream.move(window)
                if (waiting := window.waiting()) and self._on_wait:
                    self._on_wait(waiting)
                if not window.asked:
                    moved = loop.time()
                end = moved + most_silence if window.asked else None
                # A request that is due while another is written waits for that write, which is among the tasks.
                due = None if stream.writing else window.wait
                if await first(source.tasks | stream.tasks, _sooner(due, end and end - loop.time())):
                    moved = loop.time()
                elif end is not None and loop.time() >= end:
                    raise DeadlineError("the server has not moved for too long")
                for answer in (source.take(window), await stream.take(window)):
                    if answer is not None:
                        yield answer
            await stream.finish()
        finally:
            await source.close()
            await stream.close()


def _sooner(*times: float | None) -> float | None:
    return min((time for time in times if time is not None), default=None)
