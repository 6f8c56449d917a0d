# SPDX-License-Identifier: Apache-2.0
"""Retries are a share of the requests, and a burst beside; never more, whatever the order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from imagier_server.engines.budget import RetryBudget

PERCENTS = st.integers(0, 100)
BURSTS = st.integers(1, 20)


@given(PERCENTS, BURSTS, st.lists(st.booleans(), max_size=300))
def test_never_more_than_the_share_and_the_burst(percent: int, burst: int, asked: list[bool]) -> None:
    budget = RetryBudget(percent, burst)
    requests = retries = 0
    for retry in asked:
        if retry:
            retries += budget.spend()
        else:
            requests += 1
            budget.earn()
        assert retries <= (burst + requests * percent / 100 if percent else 0)


@given(st.integers(1, 100), BURSTS)
def test_all_that_one_engine_held_may_be_tried_again_and_again_later(percent: int, burst: int) -> None:
    budget = RetryBudget(percent, burst)
    for _ in range(2):
        assert all(budget.spend() for _ in range(burst))
        assert not budget.spend()
        for _ in range(burst * 100):
            budget.earn()


@given(st.integers(1, 100), st.integers(2, 20))
def test_in_an_outage_the_share_is_all_there_is(percent: int, burst: int) -> None:
    budget = RetryBudget(percent, burst)
    spent = 0
    for _ in range(1000):
        budget.earn()
        spent += budget.spend()
    assert spent <= burst + 10 * percent
    assert spent >= 10 * percent - 1


def test_no_share_no_retry() -> None:
    budget = RetryBudget(0, 5)
    budget.earn()
    assert not budget.spend()
