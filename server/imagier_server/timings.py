# SPDX-License-Identifier: Apache-2.0
"""One record of where a request's time went. It feeds the metrics, the log line and the reply; no other module reads a clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from enum import StrEnum


class Stage(StrEnum):
    """A part of the work on a picture."""

    DECODE = "decode"
    PREPARE = "prepare"
    INFER = "infer"
    FINISH = "finish"


Span = Callable[[str], AbstractContextManager[object]]
"""Opens a trace's span of that name; `nullcontext` opens none."""

SHARED = ""
"""The task name of a stage that all tasks share."""


class Timings:
    """Seconds by task and stage, summed where a stage ran more than once. One request's own; used on its event loop only.

    `ended` is when each task ended, in seconds since the request arrived; `cancelled` the stages that were given up.
    """

    __slots__ = ("_span", "_started", "cancelled", "ended", "stages")

    def __init__(self, span: Span = nullcontext) -> None:
        self._span = span
        self._started = time.perf_counter()
        self.stages: dict[tuple[str, Stage], float] = {}
        self.ended: dict[str, float] = {}
        self.cancelled: set[Stage] = set()

    @contextmanager
    def measure(self, task: str, stage: Stage) -> Iterator[None]:
        """Adds the block's wall time, also when it fails. The block is a span of the trace."""
        started = time.perf_counter()
        try:
            with self._span(f"{task} {stage}".lstrip()):
                yield
        except asyncio.CancelledError:
            self.cancelled.add(stage)
            raise
        finally:
            self.stages[task, stage] = self.stages.get((task, stage), 0.0) + time.perf_counter() - started

    @property
    def elapsed(self) -> float:
        """Seconds since the request arrived."""
        return time.perf_counter() - self._started


@contextmanager
def processor_time(add: Callable[[float], None], clock: int = time.CLOCK_THREAD_CPUTIME_ID) -> Iterator[None]:
    """Adds the processor seconds that pass on `clock` meanwhile: this thread's, or those of the process that it belongs to."""
    started = time.clock_gettime(clock)
    try:
        yield
    finally:
        with suppress(OSError):  # the process is gone
            add(time.clock_gettime(clock) - started)


def process_clock(pid: int) -> int:
    """The clock of another process's processor time, as Linux numbers it: clock_getcpuclockid(3), which Python lacks."""
    return ~pid << 3 | 2
