# SPDX-License-Identifier: Apache-2.0
"""Estimates how long work will take at the present load, and refuses work whose deadline comes before."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

from imagier_server.admission.admission import Receipt, Work
from imagier_server.admission.pace import within_bounds
from imagier_server.call import CallContext, Lane
from imagier_server.errors import Full, OverloadedError

_NEW = 0.1
"""The weight of the newest observation in the moving averages."""
_ENOUGH = 10
"""Observations before anything is refused."""
_FORGOTTEN_SECONDS = 60.0
"""After which an observation says nothing of the present."""
_FASTEST_SECONDS = 30.0
"""The own time of a kind of work is the fastest of the last one to two such spans."""
_MOST_COST = 100.0


class _Kind:
    """What is known of pictures with the same tasks: how long they take, decoding and queues included, and behind how many."""

    def __init__(self) -> None:
        self.count = 0
        self.last = -math.inf
        self.fastest = self.fastest_before = math.inf
        self._span_began = -math.inf
        # Of logarithms: one picture of a minute among hundreds of a second must not refuse the next hundred.
        self._log_seconds = 0.0
        self._ahead = 0.0

    def learn(self, seconds: float, ahead: int, now: float) -> None:
        weight = max(_NEW, 1 / (self.count + 1))
        self._log_seconds += weight * (math.log(max(seconds, 1e-6)) - self._log_seconds)
        self._ahead += weight * (ahead - self._ahead)
        self.count += 1
        self.last = now

    def seconds(self, ahead: int, now: float) -> float | None:
        """The time behind `ahead` others: in proportion to those observed, and never more than observed. None if unknown."""
        if self.count < _ENOUGH or now - self.last > _FORGOTTEN_SECONDS:
            return None
        return math.exp(self._log_seconds) * min(1.0, ahead / max(self._ahead, 1.0))

    def took(self, seconds: float, now: float) -> None:
        if now - self._span_began > _FASTEST_SECONDS:
            self.fastest_before, self.fastest, self._span_began = self.fastest, math.inf, now
        self.fastest = min(self.fastest, seconds)


class Estimates:
    """The estimates of one server, from what it has observed. Work is of one kind if it asks for the same tasks.

    `longest`: the deadline of a call that sets none, in seconds.
    """

    def __init__(self, longest: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._longest = longest
        self._clock = clock
        self._kinds: dict[frozenset[str], _Kind] = {}  # as many as there are sets of tasks
        self._ahead = 0
        self._typical = 0.0

    @asynccontextmanager
    async def stage(self, work: Work, call: CallContext, receipt: Receipt) -> AsyncIterator[None]:
        """The stage of admission. Raises `OverloadedError`, but for the first call in flight and for streams, which wait anyway."""
        if work.image is None:
            yield
            return
        kind = self._kinds.setdefault(frozenset(work.tasks), _Kind())
        single, ahead, began = call.lane is Lane.INTERACTIVE, self._ahead, self._clock()
        left = min(call.seconds_left, self._longest)
        if single:
            self._check(kind, ahead, left, began)
            self._ahead += 1
        try:
            yield
        finally:
            ended = self._clock()
            if single:
                self._ahead -= 1
            if receipt.succeeded:
                kind.took(ended - began, ended)
            # What was not done in time would have taken longer still.
            if single and (receipt.succeeded or ended - began >= left > 0):
                kind.learn(ended - began, ahead, ended)

    def cost(self, tasks: Collection[str]) -> float:
        """The cost of work in multiples of a typical picture's, by the fastest times observed."""
        kind = self._kinds.get(frozenset(tasks))
        own = min(kind.fastest, kind.fastest_before) if kind else math.inf
        if math.isinf(own):
            return 1.0
        self._typical += _NEW * (own - self._typical) if self._typical else own
        return min(max(own / self._typical, 1 / _MOST_COST), _MOST_COST)

    def _check(self, kind: _Kind, ahead: int, left: float, now: float) -> None:
        expected = kind.seconds(ahead, now)
        if ahead and expected and left < expected:
            raise OverloadedError(
                "the pictures in flight will take longer than this call's deadline: retry later, or allow more time",
                Full.TIME,
                retry_after=within_bounds(expected - left),
            )
