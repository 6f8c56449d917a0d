# SPDX-License-Identifier: Apache-2.0
"""When to try again: decisions only; who waits, and how, is the clients' business. gRPC's own retries are off."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from imagier_client.errors import ImagierClientError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently; seconds. `max_attempts` counts the first attempt; 1 never retries."""

    max_attempts: int = 5
    initial_backoff: float = 0.2
    max_backoff: float = 5.0

    def delay(
        self, error: ImagierClientError, attempt: int, *, jitter: Callable[[], float] = random.random
    ) -> float | None:
        """Seconds to wait after attempt number `attempt` (from 1) failed with `error`, or `None` to give up.

        The server's own wish is honoured: never less than it asked for, up to a tenth more, so that those refused together do not
        come back together. Otherwise the wait doubles from `initial_backoff`, and a random half of it is left out; so it is the
        first time that a server says that it shuts down: another one may be there already.
        """
        if not error.retryable or attempt >= self.max_attempts:
            return None
        if error.retry_after is not None and not (error.reason == "DRAINING" and attempt == 1):
            return error.retry_after * (1 + 0.1 * jitter())
        # The exponent is capped because a patient policy may count far.
        return min(self.max_backoff, self.initial_backoff * 2.0 ** min(attempt - 1, 30)) * (0.5 + 0.5 * jitter())


class Attempts:
    """The attempts of one call under one deadline (`timeout` seconds from now; `None` for none)."""

    def __init__(
        self, policy: RetryPolicy, timeout: float | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._deadline = None if timeout is None else clock() + timeout
        self._count = 0

    def remaining(self) -> float | None:
        """Seconds left for the next attempt; never negative, for gRPC answers a deadline of 0 itself."""
        return None if self._deadline is None else max(0.0, self._deadline - self._clock())

    def failed(self, error: ImagierClientError) -> float:
        """Seconds to wait before the next attempt. Raises `error` if there should be none, or no time would be left for it."""
        self._count += 1
        delay = self._policy.delay(error, self._count)
        remaining = self.remaining()
        if delay is None or (remaining is not None and delay >= remaining):
            raise error
        return delay


def stream_patience(timeout: float | None) -> float | None:
    """Seconds without an answer after which a stream is given up, from those that one call has.

    More than those: a server that has as many for each picture, counted from when it takes it, must be heard to give up first.
    """
    return None if timeout is None else 1.5 * timeout
