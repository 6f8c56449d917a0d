# SPDX-License-Identifier: Apache-2.0
"""One record of where a request's time went, which feeds the metrics, the log line and the reply."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from enum import StrEnum


class Stage(StrEnum):
    """A stage of the work on a picture."""

    DECODE = "decode"
    PREPARE = "prepare"
    INFER = "infer"
    FINISH = "finish"


Span = Callable[[str], AbstractContextManager[object]]
"""Opens a span of a trace by name; `nullcontext` opens none."""

SHARED = ""
"""The task name of a stage that all tasks share."""


class Timings:
    """Seconds by task and stage, summed if a stage ran more than once. For one request, on its event loop only.

    `ended`: when each task ended, in seconds since the request arrived. `cancelled`: the cancelled stages. `cpu`: CPU seconds by
    task, in parts, which threads may append.
    """

    __slots__ = ("_span", "_started", "cancelled", "cpu", "ended", "stages")

    def __init__(self, span: Span = nullcontext) -> None:
        self._span = span
        self._started = time.perf_counter()
        self.stages: dict[tuple[str, Stage], float] = {}
        self.ended: dict[str, float] = {}
        self.cancelled: set[Stage] = set()
        self.cpu: list[tuple[str, float]] = []

    @contextmanager
    def measure(self, task: str, stage: Stage) -> Iterator[None]:
        """Add the block's wall time, also on failure; the block is a span of the trace."""
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
    def cpu_seconds(self) -> dict[str, float]:
        """CPU seconds by task, without Triton's; those of shared stages first."""
        found: dict[str, float] = {}
        for task, seconds in sorted(self.cpu):
            found[task] = found.get(task, 0.0) + seconds
        return found

    def restart(self) -> None:
        """Counts from now on: so far the request has only waited for its turn."""
        self._started = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds since the request arrived, or was admitted after it had waited."""
        return time.perf_counter() - self._started


@contextmanager
def cpu_time(add: Callable[[float], None], clock: int = time.CLOCK_THREAD_CPUTIME_ID) -> Iterator[None]:
    """Add the CPU time that `clock` measures during the block: this thread's, or another process's."""
    started = time.clock_gettime(clock)
    try:
        yield
    finally:
        with suppress(OSError):  # the process is gone
            add(time.clock_gettime(clock) - started)


def process_clock(pid: int) -> int:
    """The clock id of another process's CPU time on Linux: clock_getcpuclockid(3), which Python lacks."""
    return ~pid << 3 | 2
