# SPDX-License-Identifier: Apache-2.0
"""How many requests may be sent a second time, so that an outage does not double the load on what is left."""

from __future__ import annotations

_COST = 100


class RetryBudget:
    """A token bucket as in Finagle's RetryBudget: retries are at most `percent` of the requests, and `burst` beside.

    The burst is there from the start and is refilled by requests: an engine that dies takes all that it worked on with it at once.
    """

    def __init__(self, percent: int, burst: int) -> None:
        self._percent = percent
        self._most = burst * _COST if percent else 0
        self._tokens = self._most

    def earn(self) -> None:
        """Counts a request."""
        self._tokens = min(self._most, self._tokens + self._percent)

    def spend(self) -> bool:
        """Takes what one retry costs; False if there is not enough."""
        if self._tokens < _COST:
            return False
        self._tokens -= _COST
        return True
