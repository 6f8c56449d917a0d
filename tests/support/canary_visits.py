# SPDX-License-Identifier: Apache-2.0
"""A caller with unmistakable words, through every door of a gateway and every failure."""

from __future__ import annotations

import asyncio
import struct
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from imagier.v1 import annotator_pb2, keywords_pb2, ocr_pb2, tags_pb2

from support.fake_triton import FakeTriton, never, refusing
from support.running_gateway import picture
from support.served_gateway import Served

WORDS: dict[str, str | bytes] = {
    "word in the file": "QUAXOLOTL-ZEBULON",
    "request id": "request-of-kunigunde-0815",
    "keyword": "Wolpertinger aus Oberammergau",
    "wrong key": "xylophonbaumwollspinnerei",
    "file name": "Ferien mit Kunigunde 0815.jpg",
    "URL": "sommerfrische-am-wolfgangsee-4711",
    "idempotency key": "retry-of-rumpelstilzchen",
    "nonce": b"\x93\x11\xf0secret-nonce\xee\x01",
    "description": "brown cat standing on a rock",
    "query": "Nachtkrabb am Grundlsee",
    "label": "Drachenzunge aus Hinterstoder",
    "prompt": "ein Aufhocker hinter dem Heustadel",
    "vector": struct.pack("<8f", 0.7193, -0.1327, 0.3411, 0.0871, -0.4639, 0.2153, -0.0619, 0.2843),
    "text of the engine": "the engine quotes Tatzelwurm",
}
QUOTA = 80
"""Pictures an hour: more than the visits before the last send."""


def marked(image: bytes) -> bytes:
    """A JPEG with the word in a comment."""
    comment = str(WORDS["word in the file"]).encode()
    return image[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + image[2:]


def request(image: bytes, **tags: Any) -> annotator_pb2.AnnotateRequest:
    made = annotator_pb2.AnnotateRequest(
        image=image,
        request_id=str(WORDS["request id"]),
        tags=tags_pb2.TagsOptions(existing_tags=[str(WORDS["keyword"])], **tags),
        ocr=ocr_pb2.OcrOptions(),
    )
    made.processing_receipt.nonce = bytes(WORDS["nonce"])
    return made


@dataclass
class Visit:
    """A gateway's process, the engine behind it, and what callers were told."""

    process: Served
    fake: FakeTriton
    engine: AsyncExitStack
    stub: Any
    http: str
    key: str
    told: list[str] = field(default_factory=list)
    calls: int = 0

    async def refused(self, call: Awaitable[object]) -> grpc.StatusCode:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        error = raised.value
        self.told.append(f"{error.details()} {error.debug_error_string()}")
        self.told += [str(value) for _, value in error.trailing_metadata() or ()]
        return error.code()

    def annotate(self, message: annotator_pb2.AnnotateRequest, timeout: float = 20) -> Any:
        self.calls += 1  # each an operation of its own
        tried = ("idempotency-key", f"{WORDS['idempotency key']} {self.calls}")
        return self.stub.Annotate(message, metadata=(*self.keyed, tried), timeout=timeout)

    @property
    def keyed(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.key}"),)

    async def post(
        self, path: str, body: bytes | None, kind: str, key: str | None = "", header: str = "authorization"
    ) -> int:
        """The status of an HTTP call, a GET without a body; what a refusal says is kept. `key` None: none in its headers."""

        def call() -> int:
            secret = (key or self.key) if header != "authorization" else f"Bearer {key or self.key}"
            headers = {"content-type": kind} | ({} if key is None else {header: secret})
            try:
                with urllib.request.urlopen(urllib.request.Request(self.http + path, body, headers), timeout=30) as got:
                    return int(got.status)
            except urllib.error.HTTPError as error:
                self.told += [error.read().decode(), str(error.headers)]
                return error.code

        return await asyncio.to_thread(call)

    async def read(self, path: str) -> bytes:
        """The body of a GET."""

        def call() -> bytes:
            headers = {"authorization": f"Bearer {self.key}"}
            with urllib.request.urlopen(urllib.request.Request(self.http + path, None, headers), timeout=30) as got:
                return bytes(got.read())

        return await asyncio.to_thread(call)

    def hang(self, *models: str) -> asyncio.Event:
        """The models answer no more; the event says that one was asked."""
        asked = asyncio.Event()

        async def behaviour(request: Any, context: Any) -> Any:
            asked.set()
            return await never(request, context)

        self.fake.behaviours.update(dict.fromkeys(models, behaviour))
        return asked


async def answered(visit: Visit) -> None:
    answer = await visit.annotate(request(marked(picture())))
    assert (answer.tags.status.code, answer.request_id) == (0, WORDS["request id"])
    assert answer.processing_receipt.signature


async def keywords(visit: Visit) -> None:
    word = str(WORDS["keyword"])
    await visit.stub.MatchKeywords(keywords_pb2.MatchKeywordsRequest(keywords=[word]), metadata=visit.keyed)
    too_long = visit.stub.MatchKeywords(keywords_pb2.MatchKeywordsRequest(keywords=[word * 100]), metadata=visit.keyed)
    assert await visit.refused(too_long) is grpc.StatusCode.INVALID_ARGUMENT


async def streamed(visit: Visit) -> None:
    async def requests() -> AsyncIterator[annotator_pb2.AnnotateStreamRequest]:
        for image in (marked(picture()), marked(picture())[:300], str(WORDS["word in the file"]).encode()):
            yield annotator_pb2.AnnotateStreamRequest(request=request(image))

    answers = [answer async for answer in visit.stub.AnnotateStream(requests(), metadata=visit.keyed)]
    assert sorted(answer.HasField("error") for answer in answers) == [False, True, True]
    visit.told += [str(answer.error) for answer in answers if answer.HasField("error")]


async def malformed(visit: Visit) -> None:
    word = str(WORDS["word in the file"]).encode()
    short = request(marked(picture()))
    short.processing_receipt.nonce = bytes(WORDS["nonce"])[:12]
    for message in (
        request(word),
        request(marked(picture())[:300]),
        request(b"\x89PNG\r\n\x1a\n" + word),
        request(marked(picture()), max_tags=-1),
        annotator_pb2.AnnotateRequest(image=word, request_id=str(WORDS["request id"]) * 20),
        short,
    ):
        assert await visit.refused(visit.annotate(message)) is grpc.StatusCode.INVALID_ARGUMENT


async def without_a_key(visit: Visit) -> None:
    for secret in (str(WORDS["wrong key"]), f"{visit.key[:-1]}x", f"img_{WORDS['wrong key']}_{'0' * 64}"):
        for name, value in (("authorization", f"Bearer {secret}"), ("x-api-key", secret)):
            call = visit.stub.Annotate(request(marked(picture())), metadata=((name, value),))
            assert await visit.refused(call) is grpc.StatusCode.UNAUTHENTICATED


async def cancelled(visit: Visit) -> None:
    asked = visit.hang("tagger")
    call = visit.annotate(request(marked(picture())))
    waiting = asyncio.ensure_future(call)
    await asked.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def too_late(visit: Visit) -> None:
    visit.hang("tagger", "text_detector")
    late = visit.annotate(request(marked(picture())), timeout=0.5)
    assert await visit.refused(late) is grpc.StatusCode.DEADLINE_EXCEEDED


async def full(visit: Visit) -> None:
    asked = visit.hang("tagger")
    first = visit.annotate(request(marked(picture())))
    waiting = asyncio.ensure_future(first)
    await asked.wait()
    second = visit.annotate(request(marked(picture())))
    assert await visit.refused(second) is grpc.StatusCode.RESOURCE_EXHAUSTED
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def failing_engine(visit: Visit) -> None:
    text = f"{WORDS['text of the engine']} {WORDS['keyword']}"
    for code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAVAILABLE):
        visit.fake.behaviours["tagger"] = refusing(code, text)
        answer = await visit.annotate(request(marked(picture())))
        assert answer.tags.status.code != 0
        visit.told.append(str(answer.tags.status))


async def dead_engine(visit: Visit) -> None:
    await visit.engine.aclose()
    answer = await visit.annotate(request(marked(picture())))
    assert answer.tags.status.code == grpc.StatusCode.UNAVAILABLE.value[0]
    visit.told.append(str(answer.tags.status))


async def used_up(visit: Visit) -> None:
    for _ in range(QUOTA):
        call = visit.annotate(request(marked(picture())))
        try:
            await call
        except grpc.aio.AioRpcError:
            assert await visit.refused(call) is grpc.StatusCode.RESOURCE_EXHAUSTED
            return
    pytest.fail("the quota was never used up")


# From the last but one on there is no engine.
VISITS: tuple[Callable[[Visit], Awaitable[None]], ...] = (
    answered,
    keywords,
    streamed,
    malformed,
    without_a_key,
    cancelled,
    too_late,
    full,
    failing_engine,
    dead_engine,
    used_up,
)
