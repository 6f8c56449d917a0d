# SPDX-License-Identifier: Apache-2.0
"""A task's steps for one request: arithmetic off the event loop and inferences, each timed under its stage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

from imagier_server.call import CallContext
from imagier_server.errors import DeadlineError
from imagier_server.messages import Tensors
from imagier_server.metrics import Metrics
from imagier_server.timings import Stage, Timings, cpu_time

P = ParamSpec("P")
T = TypeVar("T")


class Engine(Protocol):
    """Runs a model: inputs by name → outputs by name, within the call's deadline."""

    async def infer(self, model: str, inputs: Tensors, call: CallContext) -> Tensors: ...


@dataclass(frozen=True, slots=True)
class TaskSteps:
    """The steps of one task of one request."""

    task: str
    call: CallContext
    timings: Timings
    engine: Engine
    threads: Executor
    metrics: Metrics

    async def compute(self, stage: Stage, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a pure function in a thread, and count its CPU time."""
        # A thread keeps its last function for a moment; it must not keep the picture.
        once = [partial(function, *args, **kwargs)]
        del args, kwargs

        def spent(seconds: float) -> None:
            self.metrics.cpu_seconds.labels(self.task, stage.value).inc(seconds)
            self.timings.cpu.append((self.task, seconds))

        def counted() -> T:
            with cpu_time(spent):
                return once.pop()()

        loop = asyncio.get_running_loop()
        with self.timings.measure(self.task, stage):
            return await loop.run_in_executor(self.threads, counted)

    async def infer(self, model: str, inputs: Tensors) -> Tensors:
        """Run one model for this call. Raises `ImagierError`."""
        if self.call.seconds_left <= 0:
            raise DeadlineError
        with self.timings.measure(self.task, Stage.INFER):
            return await self.engine.infer(model, inputs, self.call)
