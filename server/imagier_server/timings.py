# SPDX-License-Identifier: Apache-2.0
"""One record of where a request's time went. It feeds the metrics, the log line and the reply; no other module reads a clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum


class Stage(StrEnum):
    """A part of the work on a picture."""

    DECODE = "decode"
    PREPARE = "prepare"
    INFER = "infer"
    FINISH = "finish"


SHARED = ""
"""The task name of a stage that all tasks share."""


class Timings:
    """Seconds by task and stage, summed where a stage ran more than once. One request's own; used on its event loop only."""

    __slots__ = ("_started", "stages")

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.stages: dict[tuple[str, Stage], float] = {}

    @contextmanager
    def measure(self, task: str, stage: Stage) -> Iterator[None]:
        """Adds the block's wall time, also when it fails."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.stages[task, stage] = self.stages.get((task, stage), 0.0) + time.perf_counter() - started

    @property
    def elapsed(self) -> float:
        """Seconds since the request arrived."""
        return time.perf_counter() - self._started
