# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from imagier_server.admission.admission import Admission
from imagier_server.admission.credits import charged
from imagier_server.call import TASKS, CallContext, Identity, Lane
from imagier_server.errors import InternalError, UnpaidError
from imagier_server.messages import AnnotateRequest, KeywordsRequest, TaskOutcome
from imagier_server.tasks.ocr.values import OcrOptions
from imagier_server.tasks.tags.values import TagsOptions
from support.calls import call

PRICES = {"tags": 2, "ocr": 5}
SECONDS = {Lane.INTERACTIVE: 60.0, Lane.BULK: 1800.0}
TWO_TASKS = AnnotateRequest(b"picture", {"tags": TagsOptions(), "ocr": OcrOptions()})


@dataclass
class Purse:
    """Notes what is reserved and settled."""

    empty: bool = False
    reserved: list[tuple[dict[str, int], float]] = field(default_factory=list)
    settled: list[dict[str, int]] = field(default_factory=list)
    id: str = "r1"

    async def reserve(self, prices: Mapping[str, int], seconds: float, call: CallContext) -> Purse:
        if self.empty:
            raise UnpaidError("empty")
        self.reserved.append((dict(prices), seconds))
        return self

    async def settle(self, charges: Mapping[str, int]) -> None:
        self.settled.append(dict(charges))


@pytest.fixture
def purse() -> Purse:
    return Purse()


@pytest.fixture
def admission(purse: Purse) -> Admission:
    return Admission([charged(purse, PRICES.__getitem__, SECONDS)])


def keyed(lane: Lane = Lane.INTERACTIVE, seconds: float | None = None) -> CallContext:
    return replace(call(lane, seconds), identity=Identity("k1", "library", frozenset({TASKS})))


async def test_what_succeeded_is_charged_at_the_price_that_the_caller_is_told(
    purse: Purse, admission: Admission
) -> None:
    async with admission.admit(TWO_TASKS, keyed()) as receipt:
        receipt.outcomes = {"tags": TaskOutcome((), cost=2), "ocr": TaskOutcome((), error=InternalError())}
    assert purse.reserved == [({"tags": 2, "ocr": 5}, 120)]
    assert purse.settled == [{"tags": 2}]


@pytest.mark.parametrize("end", [InternalError(), asyncio.CancelledError(), ZeroDivisionError()])
async def test_work_that_ends_without_an_answer_is_given_back(
    purse: Purse, admission: Admission, end: BaseException
) -> None:
    with pytest.raises(type(end)):
        async with admission.admit(TWO_TASKS, keyed()):
            raise end
    assert purse.settled == [{}]


async def test_a_caller_without_credits_is_refused(purse: Purse, admission: Admission) -> None:
    purse.empty = True
    with pytest.raises(UnpaidError):
        async with admission.admit(TWO_TASKS, keyed()):
            pytest.fail("admitted")
    assert purse.settled == []


async def test_words_and_callers_without_a_key_cost_nothing(purse: Purse, admission: Admission) -> None:
    for work, whose in ((KeywordsRequest(("chat",)), keyed()), (TWO_TASKS, call())):
        async with admission.admit(work, whose):
            pass
    assert purse.reserved == []


async def test_credits_stay_reserved_a_little_longer_than_the_work_may_take(purse: Purse, admission: Admission) -> None:
    for whose in (keyed(Lane.BULK), keyed(seconds=10)):
        async with admission.admit(TWO_TASKS, whose):
            pass
    assert [seconds for _, seconds in purse.reserved] == [1860, pytest.approx(70, abs=1)]
