# SPDX-License-Identifier: Apache-2.0
"""A picture's pipeline: check, admit, decode, run its tasks. Every transport calls `Pipeline.annotate`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from math import isinf
from typing import Any, Protocol

from imagier_server.admission.admission import Admission
from imagier_server.call import CallContext, Lane
from imagier_server.errors import (
    DeadlineError,
    ImagierError,
    InternalError,
    InvalidRequestError,
    LongSideError,
    ModelNotInstalledError,
    ReceiptsNotOfferedError,
)
from imagier_server.logs import logger
from imagier_server.messages import (
    AnnotateRequest,
    Annotation,
    ModelReference,
    Picture,
    SignedReceipt,
    TaskOptions,
    TaskOutcome,
)
from imagier_server.metrics import Metrics
from imagier_server.recording import Record, Recorder
from imagier_server.repeats import Repeats, operation
from imagier_server.steps import Engine, TaskSteps
from imagier_server.tasks.languages import check_languages
from imagier_server.tasks.task import Task
from imagier_server.timings import SHARED, Stage

MAX_REQUEST_ID = 128


class Signer(Protocol):
    """Signs processing receipts."""

    def check(self, nonce: bytes) -> None: ...

    def fingerprint(self, request: AnnotateRequest) -> bytes: ...

    def sign(self, fingerprint: bytes, record: Record, answered: float, released: float | None) -> SignedReceipt: ...


class Decoder(Protocol):
    """Bytes → picture, at the scale that a function of (width, height) returns."""

    async def decode(self, image: bytes, scale: Callable[[int, int], float], call: CallContext) -> Picture: ...


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One server's pipeline. `prices` in credits by task; `models` are those installed, by role.

    Default deadlines: `deadline_seconds` from the arrival of a single picture; `stream_deadline_seconds` from the admission of a
    stream's picture, which may wait long for capacity.
    """

    tasks: Mapping[str, Task[Any, Any]]
    prices: Mapping[str, int]
    models: Mapping[str, ModelReference]
    admission: Admission
    recorder: Recorder
    decoder: Decoder
    engine: Engine
    threads: Executor
    metrics: Metrics
    deadline_seconds: float
    stream_deadline_seconds: float
    repeats: Repeats = field(default_factory=Repeats)
    signer: Signer | None = None

    def knock(self, call: CallContext) -> None:
        """Refuse a call before its picture is read, which costs more than to refuse it. Raises `OverloadedError`.

        A retry is let in: its first try may still run.
        """
        if call.idempotency_key:
            return
        try:
            self.admission.knock(call)
        except ImagierError as error:
            self.recorder.unread(call, error)
            raise

    async def annotate(
        self, request: AnnotateRequest, call: CallContext, admitted: Callable[[], None] = lambda: None
    ) -> Annotation:
        """Annotate one picture. Calls `admitted` when it is admitted: at once, unless it belongs to a stream.

        A request with a nonce loses its picture, and the answer has a receipt. A failed task is that task's outcome; the others
        stand. A retry gets the answer of the try that still runs. Raises `ImagierError`.
        """
        name = await operation(request, call, self.threads)
        if not name:
            return await self._annotate(request, call, admitted)
        named = replace(call, operation=name)
        return await self.repeats.once(request, name, lambda: self._annotate(request, named, admitted), admitted)

    async def _annotate(self, request: AnnotateRequest, call: CallContext, admitted: Callable[[], None]) -> Annotation:
        # The permit is released last: when nothing is in flight, everything has been counted.
        async with AsyncExitStack() as room:
            with self.recorder.picture(request, call) as record:
                self._check(request)
                receipt = await room.enter_async_context(self.admission.admit(request, call))
                record.begin()
                admitted()
                annotation = await self._read(request, call, record)
                failed = (outcome.error for outcome in annotation.outcomes.values() if outcome.error)
                if request.together and (error := next(failed, None)):
                    raise error
                record.outcomes = receipt.outcomes = annotation.outcomes
                if self.signer is None or request.nonce is None:
                    return annotation
                answered = time.time()
                loop = asyncio.get_running_loop()
                mark = await loop.run_in_executor(self.threads, self.signer.fingerprint, request)
        return replace(annotation, receipt=self.signer.sign(mark, record, answered, record.let_go(request)))

    def _check(self, request: AnnotateRequest) -> None:
        if request.fault:
            raise request.fault
        if not request.tasks:
            raise InvalidRequestError(
                "no task is asked for: set at least one task's options, such as tags", field="tags"
            )
        if len(request.request_id) > MAX_REQUEST_ID:
            raise InvalidRequestError(f"request_id is longer than {MAX_REQUEST_ID} characters", field="request_id")
        check_languages(request.languages)
        for name, options in request.tasks.items():
            self.tasks[name].check(options)
        if request.nonce is not None:
            if self.signer is None:
                raise ReceiptsNotOfferedError
            self.signer.check(request.nonce)
        if request.seconds is not None and request.seconds <= 0:
            raise InvalidRequestError("timeout must be above 0", field="timeout")

    async def _read(self, request: AnnotateRequest, call: CallContext, record: Record) -> Annotation:
        timings = record.timings
        loop, single = asyncio.get_running_loop(), call.lane is Lane.INTERACTIVE
        if single and isinf(call.deadline):
            call = replace(call, deadline=loop.time() + self.deadline_seconds)
        if call.seconds_left <= 0:
            raise DeadlineError
        running: dict[str, asyncio.Task[TaskOutcome]] = {}
        late = False
        try:
            async with asyncio.timeout_at(None if isinf(call.deadline) else call.deadline) as limit:
                with timings.measure(SHARED, Stage.DECODE):
                    picture = await self.decoder.decode(request.image, self._scale(request.tasks), call)
                record.see(picture.pixels)
                if request.longest_side is not None and max(picture.width, picture.height) > request.longest_side:
                    raise LongSideError(f"a side of the picture is longer than {request.longest_side} pixels")
                timings.cpu.append((SHARED, picture.cpu_seconds))
                if not single:
                    # The deadline of a stream's picture starts here, after the wait for capacity.
                    work = loop.time() + (request.seconds or self.stream_deadline_seconds)
                    call = replace(call, deadline=min(call.deadline, work))
                    limit.reschedule(call.deadline)
                async with asyncio.TaskGroup() as group:
                    for name, options in request.tasks.items():
                        steps = TaskSteps(name, call, timings, self.engine, self.threads, self.metrics)
                        running[name] = group.create_task(self._run(options, picture, request.languages, steps))
        except TimeoutError:
            if all(task.cancelled() or task.result().error for task in running.values()):
                raise DeadlineError from None
            late = True
        # Tasks done in time stand.
        outcomes = {
            name: TaskOutcome(self._models(name), error=DeadlineError()) if late and task.cancelled() else task.result()
            for name, task in running.items()
        }
        return Annotation(
            request.request_id, picture.width, picture.height, timings, outcomes, orientation=picture.orientation
        )

    def _models(self, task: str) -> tuple[ModelReference, ...]:
        return tuple(self.models[model] for model in self.tasks[task].models if model in self.models)

    def _scale(self, wanted: Mapping[str, TaskOptions]) -> Callable[[int, int], float]:
        """Decode once for all requested tasks, at the smallest sufficient size."""
        return lambda width, height: max(self.tasks[name].scale(width, height) for name in wanted)

    async def _run(
        self, options: TaskOptions, picture: Picture, languages: tuple[str, ...], steps: TaskSteps
    ) -> TaskOutcome:
        name, task, models = steps.task, self.tasks[steps.task], self._models(steps.task)
        try:
            if len(models) < len(task.models):
                raise ModelNotInstalledError(f"this server does not offer the task {name}: its model is not installed")
            with self.metrics.in_flight_tasks.labels(name).track_inprogress():
                result = await task.run(picture, options, languages, steps)
        except ImagierError as error:
            outcome = TaskOutcome(models, error=error.without_traceback())
        except Exception:
            logger.exception("task failed", extra={"fields": {"task": name}})
            outcome = TaskOutcome(models, error=InternalError())
        else:
            outcome = TaskOutcome(models, result=result, cost=self.prices[name])
        steps.timings.ended[name] = steps.timings.elapsed
        return outcome
