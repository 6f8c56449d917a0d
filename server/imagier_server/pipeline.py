# SPDX-License-Identifier: Apache-2.0
"""The way of a picture, from the door to the answer. Every transport calls `Pipeline.annotate`; nothing else does the work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, Protocol, TypeVar

from imagier_server.admission.limits import Limits, Place
from imagier_server.errors import (
    DeadlineError,
    DrainingError,
    ImagierError,
    InternalError,
    InvalidRequestError,
    ModelNotInstalledError,
)
from imagier_server.logs import log, logger
from imagier_server.messages import (
    AnnotateRequest,
    Annotation,
    KeywordMatches,
    Lane,
    ModelReference,
    Picture,
    TaskOptions,
    TaskOutcome,
    Tensors,
)
from imagier_server.metrics import CANCELLED, OK, Metrics
from imagier_server.tasks.task import Task
from imagier_server.timings import SHARED, Span, Stage, Timings, processor_time

P = ParamSpec("P")
T = TypeVar("T")

Answer = Callable[[str, Annotation | ImagierError], Awaitable[None]]
"""Writes the answer to the request of that id."""

MAX_REQUEST_ID = 128
MAX_LANGUAGES = 16
MAX_LANGUAGE = 64
"""Characters of a language: the longest tags have about 35 (BCP 47, section 4.4.1)."""


class Decoder(Protocol):
    """Bytes → picture, at the scale that a function of (width, height) asks for."""

    async def decode(self, image: bytes, scale: Callable[[int, int], float], lane: Lane) -> Picture: ...


class Engine(Protocol):
    """Runs a model: inputs by name → outputs by name, within `seconds`."""

    async def infer(self, model: str, inputs: Tensors, *, lane: Lane, seconds: float) -> Tensors: ...


class Keywords(Protocol):
    """What the keywords of a caller's library mean."""

    def check(self, keywords: Sequence[str], field: str) -> None: ...

    def match(
        self, keywords: Sequence[str], languages: Sequence[str], keyword_languages: Sequence[str]
    ) -> KeywordMatches: ...


@dataclass(frozen=True, slots=True)
class _Steps:
    """What a task may do for one request."""

    task: str
    lane: Lane
    deadline: float
    timings: Timings
    engine: Engine
    threads: Executor
    metrics: Metrics

    async def compute(self, stage: Stage, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        def counted() -> T:
            with processor_time(self.metrics.cpu_seconds.labels(self.task, stage.value).inc):
                return function(*args, **kwargs)

        loop = asyncio.get_running_loop()
        with self.timings.measure(self.task, stage):
            return await loop.run_in_executor(self.threads, counted)

    async def infer(self, model: str, inputs: Tensors) -> Tensors:
        remaining = self.deadline - asyncio.get_running_loop().time()
        if remaining <= 0:
            raise DeadlineError
        with self.timings.measure(self.task, Stage.INFER):
            return await self.engine.infer(model, inputs, lane=self.lane, seconds=remaining)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One server's pipeline. `models` are those installed, by role; `deadline_seconds` is for callers that set no deadline."""

    tasks: Mapping[str, Task[Any, Any]]
    keywords: Keywords
    models: Mapping[str, ModelReference]
    limits: Limits
    decoder: Decoder
    engine: Engine
    threads: Executor
    metrics: Metrics
    deadline_seconds: float
    stream_in_flight: int
    span: Span = nullcontext

    async def annotate(self, request: AnnotateRequest, lane: Lane, seconds: float | None = None) -> Annotation:
        """Reads one picture within `seconds`. Refused at the door rather than queued. Raises `ImagierError`.

        A task that fails is that task's outcome, and the others stand.
        """
        return await self._recorded(request, lane, seconds, lambda: self.limits.enter(request.size))

    async def annotate_many(
        self, requests: AsyncIterator[AnnotateRequest], answer: Answer, seconds: Callable[[], float | None]
    ) -> None:
        """Reads pictures as long as they come, each answered once, in the order of completion; a fault is that picture's answer.

        A request is taken only when there is room for it, and the next one only when an answer has been written: a slow reader
        slows the writer. `seconds` is what is left of the caller's deadline at that moment. Raises `DrainingError` when the server
        shuts down: after the answers to what was taken, without one to what was not, which is to be sent elsewhere.
        """
        window = asyncio.Semaphore(self.stream_in_flight)
        draining: DrainingError | None = None

        async def one(request: AnnotateRequest, place: Place) -> None:
            try:
                outcome: Annotation | ImagierError = await self._recorded(request, Lane.BULK, seconds(), lambda: place)
            except ImagierError as error:
                outcome = error
            await answer(request.request_id, outcome)
            window.release()

        async with asyncio.TaskGroup() as group:
            try:
                async with self.limits.reading():
                    await window.acquire()
                    async for request in requests:
                        place = await self.limits.wait(request.size)
                        running = group.create_task(one(request, place))
                        # A task that is cancelled before its first step would never leave by itself.
                        running.add_done_callback(partial(_leave, place))
                        del request
                        await window.acquire()
            except DrainingError as error:
                draining = error
        if draining:
            raise draining

    async def match_keywords(
        self, keywords: Sequence[str], languages: Sequence[str], keyword_languages: Sequence[str]
    ) -> KeywordMatches:
        """What the keywords of a caller's library mean. Refused at the door as a picture is. Raises `ImagierError`."""
        code = InternalError.code.value
        try:
            self.keywords.check(keywords, "keywords")
            _check_languages(languages)
            _check_languages(keyword_languages, "keyword_languages")
            with self.limits.enter(sum(map(len, keywords))):
                loop = asyncio.get_running_loop()
                matches = await loop.run_in_executor(
                    self.threads, self.keywords.match, keywords, languages, keyword_languages
                )
            code = OK
            return matches
        except ImagierError as error:
            code = error.code.value
            raise
        except asyncio.CancelledError:
            code = CANCELLED
            raise
        finally:
            self.metrics.keyword_requests.labels(code).inc()

    async def _recorded(
        self, request: AnnotateRequest, lane: Lane, seconds: float | None, enter: Callable[[], Place]
    ) -> Annotation:
        timings = Timings(self.span)
        failure: ImagierError | None = InternalError()
        outcomes: Mapping[str, TaskOutcome] = {}
        # The room is given back last: whoever sees nothing in flight sees everything counted.
        with ExitStack() as room:
            try:
                with self.span("picture"):
                    self._check(request)
                    room.enter_context(enter())
                    annotation = await self._within(seconds, request, lane, timings)
                failure, outcomes = None, annotation.outcomes
                return annotation
            except ImagierError as error:
                failure = error
                raise
            except asyncio.CancelledError:
                # gRPC ends a call whose deadline has passed as if its caller had left, and may be quicker than our own clock.
                late = seconds is not None and timings.elapsed >= _ours(seconds)
                failure = DeadlineError() if late else None
                raise
            except Exception:
                logger.exception("picture failed")
                raise InternalError from None
            finally:
                code = failure.code.value if failure else OK if outcomes else CANCELLED
                self.metrics.count_picture(lane.name.lower(), code, timings)
                for task in request.tasks:
                    self.metrics.count_task(task, (outcomes[task].error if outcomes else failure) or code, timings)
                log(
                    logging.DEBUG,
                    "picture",
                    lane=lane.name.lower(),
                    code=code,
                    milliseconds=round(timings.elapsed * 1e3, 1),
                )

    def _check(self, request: AnnotateRequest) -> None:
        if not request.tasks:
            raise InvalidRequestError(
                "no task is asked for: set at least one task's options, such as tags", field="tags"
            )
        if len(request.request_id) > MAX_REQUEST_ID:
            raise InvalidRequestError(f"request_id is longer than {MAX_REQUEST_ID} characters", field="request_id")
        _check_languages(request.languages)
        for name, options in request.tasks.items():
            self.tasks[name].check(options)
        self.limits.check_size(len(request.image))

    async def _within(
        self, seconds: float | None, request: AnnotateRequest, lane: Lane, timings: Timings
    ) -> Annotation:
        allowed = self.deadline_seconds if seconds is None else _ours(seconds)
        if allowed <= 0:
            raise DeadlineError
        deadline = asyncio.get_running_loop().time() + allowed
        running: dict[str, asyncio.Task[TaskOutcome]] = {}
        late = False
        try:
            async with asyncio.timeout_at(deadline):
                with timings.measure(SHARED, Stage.DECODE):
                    picture = await self.decoder.decode(request.image, self._scale(request.tasks), lane)
                async with asyncio.TaskGroup() as group:
                    for name, options in request.tasks.items():
                        steps = _Steps(name, lane, deadline, timings, self.engine, self.threads, self.metrics)
                        running[name] = group.create_task(self._run(name, options, picture, request.languages, steps))
        except TimeoutError:
            if all(task.cancelled() or task.result().error for task in running.values()):
                raise DeadlineError from None
            late = True
        # What was read in time stands.
        outcomes = {
            name: TaskOutcome(self._models(name), error=DeadlineError()) if late and task.cancelled() else task.result()
            for name, task in running.items()
        }
        return Annotation(request.request_id, picture.width, picture.height, timings, outcomes)

    def _models(self, task: str) -> tuple[ModelReference, ...]:
        return tuple(self.models[model] for model in self.tasks[task].models if model in self.models)

    def _scale(self, wanted: Mapping[str, TaskOptions]) -> Callable[[int, int], float]:
        """One decode serves all the tasks asked for, at the smallest size that does."""
        return lambda width, height: max(self.tasks[name].scale(width, height) for name in wanted)

    async def _run(
        self, name: str, options: TaskOptions, picture: Picture, languages: tuple[str, ...], steps: _Steps
    ) -> TaskOutcome:
        task, models = self.tasks[name], self._models(name)
        try:
            if len(models) < len(task.models):
                raise ModelNotInstalledError(f"this server does without the task {name}: its model is not installed")
            with self.metrics.in_flight_tasks.labels(name).track_inprogress():
                result = await task.run(picture, options, languages, steps)
        except ImagierError as error:
            outcome = TaskOutcome(models, error=error)
        except Exception:
            logger.exception("task failed", extra={"fields": {"task": name}})
            outcome = TaskOutcome(models, error=InternalError())
        else:
            outcome = TaskOutcome(models, result=result, cost=task.price)
        steps.timings.ended[name] = steps.timings.elapsed
        return outcome


def _ours(seconds: float) -> float:
    """Of what a caller's deadline leaves, the seconds that the work may take: the answer has to get there in time."""
    return seconds - min(0.05, seconds / 20)


def _check_languages(languages: Sequence[str], field: str = "languages") -> None:
    if len(languages) > MAX_LANGUAGES:
        raise InvalidRequestError(f"more than {MAX_LANGUAGES} languages are named", field=field)
    for place, language in enumerate(languages):
        if len(language) > MAX_LANGUAGE:
            raise InvalidRequestError(f"longer than {MAX_LANGUAGE} characters", field=f"languages[{place}]")


def _leave(place: Place, _: asyncio.Task[None]) -> None:
    place.leave()
