# SPDX-License-Identifier: Apache-2.0
"""Measures how fast work ends, and tells callers who are refused when it is their turn."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

_HALF_LIFE_SECONDS = 5.0

SHORTEST_SECONDS = 0.1
"""The shortest delay before a retry: about what a retry itself costs."""
LONGEST_SECONDS = 30.0
"""The longest: callers give up, and the load of half a minute hence is not known."""
_UNKNOWN_SECONDS = 1.0
"""Before anything has ended."""
_MOST_GROUPS = 4096
"""Groups with turns of their own; further ones share one."""


class BusyRate:
    """Units that end per second while any are in flight: an idle server is not slow. `now` is the time in seconds.

    A moving average with a half-life of five seconds.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self._changed = 0.0
        self._ended = self._busy = 0.0

    def begin(self, units: int, now: float) -> None:
        """Count units that begin."""
        self._advance(now)
        self.in_flight += units

    def end(self, units: int, now: float, *, done: bool = True) -> None:
        """Count their end; not `done`: without a result, which says nothing of the rate."""
        self._advance(now)
        self.in_flight -= units
        if done:
            self._ended += units

    def per_second(self, now: float) -> float | None:
        """The rate; None before anything has ended."""
        self._advance(now)
        return self._ended / self._busy if self._ended and self._busy else None

    def _advance(self, now: float) -> None:
        passed, self._changed = now - self._changed, now
        if self.in_flight:
            kept = 0.5 ** (passed / _HALF_LIFE_SECONDS)
            self._ended *= kept
            self._busy = self._busy * kept + passed


class Pace:
    """The pace of one server's pictures.

    Who is refused gets a turn in a virtual queue: behind those of its group who were refused before, at the pace at which work ends
    now, shared by the groups that wait. So those refused together do not come back together, and a flood delays nobody else.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rate = BusyRate()
        self._turns: dict[str, float] = {}  # the last turn given to each group
        self._cleaned = 0.0

    def begin(self) -> None:
        """Count a picture that is admitted."""
        self._rate.begin(1, self._clock())

    def end(self) -> None:
        """Count its end."""
        self._rate.end(1, self._clock())

    def turn(self, group: str) -> float:
        """Seconds after which a caller of `group`, refused now, should come back."""
        now = self._clock()
        rate = self._rate.per_second(now)
        if rate is None:
            return _UNKNOWN_SECONDS
        if now - self._cleaned > SHORTEST_SECONDS:
            self._turns = {name: turn for name, turn in self._turns.items() if turn > now}
            self._cleaned = now
        if group not in self._turns and len(self._turns) >= _MOST_GROUPS:
            group = ""
        last = max(self._turns.get(group, now), now)
        self._turns[group] = now  # counted among those that wait
        turn = min(last + len(self._turns) / rate, now + LONGEST_SECONDS)
        self._turns[group] = turn
        return max(SHORTEST_SECONDS, turn - now)


def within_bounds(seconds: float) -> float:
    """A delay before a retry, no shorter and no longer than makes sense."""
    return min(max(seconds, SHORTEST_SECONDS), LONGEST_SECONDS) if math.isfinite(seconds) else LONGEST_SECONDS
