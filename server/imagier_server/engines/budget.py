# SPDX-License-Identifier: Apache-2.0
"""A retry budget, so that an outage does not double the load on the remaining engines."""

from __future__ import annotations

_COST = 100


class RetryBudget:
    """A token bucket as in Finagle's RetryBudget: retries are at most `percent` of the requests, plus `burst`.

    The burst is full at the start and refilled by requests: it covers an engine that dies with all its requests in flight.
    """

    def __init__(self, percent: int, burst: int) -> None:
        self._percent = percent
        self._most = burst * _COST if percent else 0
        self._tokens = self._most

    def earn(self) -> None:
        """Count a request."""
        self._tokens = min(self._most, self._tokens + self._percent)

    def spend(self) -> bool:
        """Pay for one retry; return False if the budget is exhausted."""
        if self._tokens < _COST:
            return False
        self._tokens -= _COST
        return True
