# SPDX-License-Identifier: Apache-2.0
"""A pipeline before a scripted engine and a scripted decoder, and what a stream and keywords go through beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from imagier_server.admission.admission import Admission, largest
from imagier_server.admission.draining import Draining
from imagier_server.admission.limits import Limits
from imagier_server.call import CallContext, Lane
from imagier_server.errors import ImagierError, InvalidImageError, InvalidRequestError
from imagier_server.keyword_matching import KeywordMatching
from imagier_server.messages import AnnotateRequest, Annotation, ModelReference, Picture, Tensors
from imagier_server.metrics import Metrics
from imagier_server.pipeline import Pipeline
from imagier_server.recording import Recorder
from imagier_server.streams import Answer, Streams
from imagier_server.tasks.caption.values import Captions
from imagier_server.tasks.ocr.values import OcrOptions, Text
from imagier_server.tasks.tags.values import KeywordMatch, KeywordMatches, Tags, TagsOptions
from imagier_server.timings import Stage

from support.calls import call

IMAGE = b"a picture"
BROKEN = b"broken"


class ScriptedDecoder:
    """Every picture is 100 by 50, but the broken one. `hold` keeps decoding until it is set."""

    def __init__(self) -> None:
        self.scales: list[float] = []
        self.calls = 0
        self.hold: asyncio.Event | None = None

    async def decode(self, image: bytes, scale: Callable[[int, int], float], call: CallContext) -> Picture:
        del call
        self.calls += 1
        if self.hold:
            await self.hold.wait()
        if image == BROKEN:
            raise InvalidImageError("the picture file is broken")
        self.scales.append(scale(100, 50))
        return Picture(np.zeros((50, 100, 3), np.uint8), 100, 50)


class ScriptedEngine:
    """Answers each model with what the test says: a value, an exception, or a coroutine to wait for."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.calls: list[tuple[str, Lane, float]] = []

    async def infer(self, model: str, inputs: Tensors, call: CallContext) -> Tensors:
        del inputs
        self.calls.append((model, call.lane, call.seconds_left))
        answer = self.answers.get(model)
        if isinstance(answer, BaseException):
            raise answer
        if callable(answer):
            await answer()
        return {"out": np.zeros(1)}


@dataclass(frozen=True)
class ScriptedTask:
    """One inference of the model of its own name."""

    name: str
    wanted_scale: float
    result: Tags | Text | Captions
    price: int = 1
    languages: tuple[str, ...] = ("en",)
    options: tuple[()] = ()

    @property
    def models(self) -> tuple[str, ...]:
        return (f"{self.name}_model",)

    def check(self, options: Any) -> None:
        if options == TagsOptions(max_tags=-1):
            raise InvalidRequestError("max_tags must be positive", field="tags.max_tags")

    def scale(self, width: int, height: int) -> float:
        assert (width, height) == (100, 50)
        return self.wanted_scale

    async def run(
        self, picture: Picture, options: Any, languages: tuple[str, ...], steps: Any
    ) -> Tags | Text | Captions:
        del options, languages
        inputs = await steps.compute(Stage.PREPARE, lambda: {"in": picture.pixels})
        await steps.infer(self.models[0], inputs)
        return await steps.compute(Stage.FINISH, lambda: self.result)


class ScriptedKeywords:
    """Every keyword means nothing; "bad" is refused."""

    def check(self, keywords: Sequence[str], field: str) -> None:
        if "bad" in keywords:
            raise InvalidRequestError("refused", field=field)

    def match(
        self, keywords: Sequence[str], languages: Sequence[str], keyword_languages: Sequence[str]
    ) -> KeywordMatches:
        return KeywordMatches(tuple(KeywordMatch(keyword, ()) for keyword in keywords), tuple(languages))


@dataclass
class Bench:
    """A pipeline and the parts behind it."""

    threads: ThreadPoolExecutor
    room: int = 4
    metrics: Metrics = field(default_factory=Metrics)
    decoder: ScriptedDecoder = field(default_factory=ScriptedDecoder)
    engine: ScriptedEngine = field(default_factory=ScriptedEngine)

    def __post_init__(self) -> None:
        self.draining = Draining()
        self.limits = Limits(self.room, 1000, self.draining, self.metrics)
        self.admission = Admission((self.draining.stage, largest(100), self.limits.stage), self.limits.knock)
        self.recorder = Recorder(self.metrics)
        tasks = (
            ScriptedTask("tags", 0.25, Tags(())),
            ScriptedTask("ocr", 0.5, Text(()), price=2),
            ScriptedTask("caption", 0.125, Captions(())),
        )
        self.pipeline = Pipeline(
            tasks={task.name: task for task in tasks},
            prices={task.name: task.price for task in tasks},
            models={task.models[0]: ModelReference(task.models[0], "1") for task in tasks},
            admission=self.admission,
            recorder=self.recorder,
            decoder=self.decoder,
            engine=self.engine,
            threads=self.threads,
            metrics=self.metrics,
            deadline_seconds=30.0,
            stream_deadline_seconds=30.0,
        )
        self.keywords = KeywordMatching(ScriptedKeywords(), self.admission, self.recorder, self.threads)

    async def stream(
        self,
        requests: AsyncIterator[AnnotateRequest],
        answer: Answer,
        seconds: float | None = None,
        pipeline: Pipeline | None = None,
    ) -> None:
        streams = Streams(pipeline or self.pipeline, self.draining, in_flight=2)
        await streams.annotate(requests, answer, call(Lane.BULK, seconds))

    async def until(self, name: str, value: float) -> None:
        """Returns when the metric has that value."""
        async with asyncio.timeout(10):
            while self.value(name) != value:  # noqa: ASYNC110 - what it waits for has no event
                await asyncio.sleep(0)

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def both(image: bytes = IMAGE, request_id: str = "") -> AnnotateRequest:
    return AnnotateRequest(image, {"tags": TagsOptions(), "ocr": OcrOptions()}, request_id=request_id)


Answers = dict[str, Annotation | ImagierError]


def collect(answers: Answers) -> Callable[[str, Annotation | ImagierError], Awaitable[None]]:
    async def answer(request_id: str, outcome: Annotation | ImagierError) -> None:
        assert request_id not in answers, "exactly one answer for each request"
        answers[request_id] = outcome

    return answer


async def stream(*requests: AnnotateRequest) -> AsyncIterator[AnnotateRequest]:
    for request in requests:
        yield request
