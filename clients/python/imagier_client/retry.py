# SPDX-License-Identifier: Apache-2.0
"""Retry decisions: whether to try again, and after how long. The clients do the waiting."""

from __future__ import annotations

# gRPC's own retries (`retryPolicy` in the service config) are off, for they cannot say this policy: they choose by the status code
# alone, so that a permanent RESOURCE_EXHAUSTED or UNAVAILABLE would be sent again; they know `grpc-retry-pushback-ms` but not
# RetryInfo, and wait exactly so long, so that those refused together come back together; and they end after five attempts.
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from imagier_client.arguments import finite, positive
from imagier_client.errors import ImagierClientError

STREAM_SECONDS = 1800.0
"""The default of a server's own limit for the work on one picture of a stream."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits of retrying; times in seconds.

    A single call is made at most `max_attempts` times, within its deadline; with 1 nothing is retried, on streams neither. On a
    stream, what fails for now is retried until it has not succeeded for `patience`.
    """

    max_attempts: int = 5
    initial_backoff: float = 0.2
    max_backoff: float = 5.0
    patience: float = 300.0

    def __post_init__(self) -> None:
        positive(self.max_attempts, "retry.max_attempts")
        for name in ("initial_backoff", "max_backoff", "patience"):
            finite(getattr(self, name), f"retry.{name}")

    def delay(
        self, error: ImagierClientError, attempt: int, *, jitter: Callable[[], float] = random.random
    ) -> float | None:
        """Seconds to wait after attempt number `attempt` (from 1) of a call failed with `error`, or `None` to give up.

        A server that says to come back later than after `patience`, as for a quota of hours, is not waited for.
        """
        if not error.retryable or attempt >= self.max_attempts or (error.retry_after or 0.0) > self.patience:
            return None
        return self.wait(error, attempt, jitter=jitter)

    def wait(self, error: ImagierClientError, attempt: int, *, jitter: Callable[[], float] = random.random) -> float:
        """Seconds to wait after attempt number `attempt` (from 1) failed with a retryable `error`.

        It doubles from `initial_backoff` to `max_backoff`, and a random half of it is left out. The server's own
        delay is honoured: never less, and up to a tenth more, so that those refused together do not come back together. A server
        that says for the first time that it shuts down is not waited for: another one may be there already.
        """
        # The exponent is capped because a patient policy may count far.
        backoff = min(self.max_backoff, self.initial_backoff * 2.0 ** min(attempt - 1, 30))
        if error.retry_after is None or (error.reason == "DRAINING" and attempt == 1):
            return backoff * (0.5 + 0.5 * jitter())
        return max(error.retry_after, backoff if attempt > 1 else 0.0) * (1 + 0.1 * jitter())


class Attempts:
    """Counts the attempts of one call under one deadline (`timeout` seconds from now; `None` for none)."""

    def __init__(
        self, policy: RetryPolicy, timeout: float | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._deadline = None if timeout is None else clock() + timeout
        self._count = 0

    def remaining(self) -> float | None:
        """Returns the seconds left for the next attempt, from 0: gRPC itself answers a deadline of 0."""
        return None if self._deadline is None else max(0.0, self._deadline - self._clock())

    def failed(self, error: ImagierClientError) -> float:
        """Returns the seconds to wait before the next attempt. Raises `error` if there is none, or the deadline comes first."""
        self._count += 1
        delay = self._policy.delay(error, self._count)
        remaining = self.remaining()
        if delay is None or (remaining is not None and delay >= remaining):
            raise error
        return delay


def silence(timeout: float | None) -> float:
    """Returns the seconds without an answer after which a stream is given up, where a picture may take `timeout`.

    Longer than `timeout`, and never short: the server, which counts from the beginning of its work, must give up first, and a busy
    one may begin late.
    """
    return 1.5 * max(timeout or 0.0, STREAM_SECONDS)
