# SPDX-License-Identifier: Apache-2.0
"""When to try again, how long to wait first, and when to stop."""

from __future__ import annotations

from typing import Any

import pytest
from imagier_client.errors import (
    ExhaustedError,
    ImagierClientError,
    InvalidImageError,
    InvalidRequestError,
    QuotaError,
    UnavailableError,
)
from imagier_client.retry import STREAM_SECONDS, Attempts, RetryPolicy, silence

UNREACHABLE = UnavailableError("nobody", retryable=True)
BUSY = ExhaustedError("busy", retryable=True, retry_after=10.0)


def test_waits_double_and_are_capped() -> None:
    policy = RetryPolicy(max_attempts=9, initial_backoff=1.0, max_backoff=5.0)
    assert [policy.delay(UNREACHABLE, n, jitter=lambda: 1.0) for n in range(1, 6)] == [1, 2, 4, 5, 5]
    assert [policy.delay(UNREACHABLE, n, jitter=lambda: 0.0) for n in range(1, 4)] == [0.5, 1, 2]


@pytest.mark.parametrize("jitter", [0.0, 0.3, 1.0])
def test_never_sooner_than_the_server_wishes(jitter: float) -> None:
    delay = RetryPolicy().delay(BUSY, 1, jitter=lambda: jitter)
    assert delay is not None
    assert 10.0 <= delay <= 11.0


def test_nobody_waits_for_hours() -> None:
    quota = QuotaError("used up", retryable=True, retry_after=3 * 3600.0)
    assert RetryPolicy().delay(quota, 1) is None
    assert (RetryPolicy(patience=4 * 3600.0).delay(quota, 1) or 0) >= 3 * 3600
    with pytest.raises(QuotaError):
        Attempts(RetryPolicy(), None).failed(quota)


def test_a_server_that_shuts_down_is_left_at_once_and_then_obeyed() -> None:
    draining = UnavailableError("stopping", reason="DRAINING", retryable=True, retry_after=10.0)
    policy = RetryPolicy(initial_backoff=1.0)
    assert policy.delay(draining, 1, jitter=lambda: 1.0) == 1
    assert policy.delay(draining, 2, jitter=lambda: 0.0) == 10


def test_a_wish_of_nothing_is_honoured_too() -> None:
    assert RetryPolicy().delay(ExhaustedError("", retryable=True, retry_after=0.0), 1) == 0


def test_the_last_attempt_is_the_last() -> None:
    policy = RetryPolicy(max_attempts=3)
    assert policy.delay(UNREACHABLE, 2) is not None
    assert policy.delay(UNREACHABLE, 3) is None


@pytest.mark.parametrize("error", [InvalidImageError("bad"), UnavailableError("for good"), ImagierClientError("odd")])
def test_the_permanent_is_not_tried_again(error: ImagierClientError) -> None:
    assert RetryPolicy().delay(error, 1) is None


def test_a_patient_policy_does_not_overflow() -> None:
    assert RetryPolicy(max_attempts=10**9, max_backoff=1.0).delay(UNREACHABLE, 10**8, jitter=lambda: 1.0) == 1.0


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_attempts_share_one_deadline() -> None:
    clock = Clock()
    attempts = Attempts(RetryPolicy(), 15.0, clock=clock)
    assert attempts.remaining() == 15
    assert attempts.failed(BUSY) >= 10
    clock.now += 11
    assert attempts.remaining() == 4
    with pytest.raises(ExhaustedError) as caught:
        attempts.failed(BUSY)
    assert caught.value is BUSY
    clock.now += 100
    assert attempts.remaining() == 0


def test_attempts_without_a_deadline_end_by_number() -> None:
    attempts = Attempts(RetryPolicy(max_attempts=3), None)
    assert attempts.remaining() is None
    attempts.failed(UNREACHABLE)
    attempts.failed(UNREACHABLE)
    with pytest.raises(UnavailableError):
        attempts.failed(UNREACHABLE)


def test_a_stream_is_waited_for_longer_than_the_server_gives_a_picture() -> None:
    assert silence(None) > STREAM_SECONDS
    assert silence(2 * STREAM_SECONDS) > 2 * STREAM_SECONDS
    # What waits for its turn at a busy server has not begun.
    assert silence(0.1) == silence(None)


def test_a_server_that_wishes_a_little_is_asked_less_and_less_often() -> None:
    policy = RetryPolicy(initial_backoff=1.0, max_backoff=5.0)
    soon = UnavailableError("", retryable=True, retry_after=2.0)
    assert [policy.wait(soon, n, jitter=lambda: 0.0) for n in range(1, 6)] == [2, 2, 4, 5, 5]
    assert policy.wait(ExhaustedError("", retryable=True, retry_after=0.0), 9, jitter=lambda: 0.0) == 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"max_attempts": 1.5},
        {"patience": -1},
        {"max_backoff": float("inf")},
        {"initial_backoff": "1"},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        RetryPolicy(**wrong)
    assert caught.value.field == f"retry.{next(iter(wrong))}"
