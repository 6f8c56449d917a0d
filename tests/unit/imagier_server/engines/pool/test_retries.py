# SPDX-License-Identifier: Apache-2.0
"""The engines as one, before scripted engines: what is tried again and what is not."""

from __future__ import annotations

import pytest
from imagier_server.errors import (
    DeadlineError,
    EngineUnavailableError,
    Full,
    ImagierError,
    InternalError,
    ModelUnavailableError,
    OverloadedError,
)
from support.scripted_engines import GONE, bench


@pytest.mark.parametrize("fault", [GONE, ModelUnavailableError("the model tagger is not ready")])
async def test_one_that_fails_is_left_for_another(fault: ImagierError) -> None:
    async with bench(1, 2) as b:
        b[1].fault, b[1].ready = fault, {"tagger": False, "other": False}
        assert [await b.infer() for _ in range(6)] == [2] * 6
        assert len(b[1].requests) == 1
        assert b.value("engine_retries_total", outcome="sent") == 1
        await b.up(1)
        assert b.value("engine_ejections_total") == 1


@pytest.mark.parametrize("fault", [OverloadedError("full", Full.QUEUE), DeadlineError(), InternalError()])
async def test_what_another_engine_would_not_mend_is_not_tried_again(fault: ImagierError) -> None:
    async with bench(1, 2) as b:
        b[1].fault = b[2].fault = fault
        with pytest.raises(type(fault)):
            await b.infer()
        assert len(b[1].requests) + len(b[2].requests) == 1
        assert b.value("engines_up") == 2


async def test_once_and_no_more() -> None:
    async with bench(1, 2, 3) as b:
        for number in (1, 2, 3):
            b[number].fault = GONE
        with pytest.raises(EngineUnavailableError):
            await b.infer()
        assert sum(len(b[number].requests) for number in (1, 2, 3)) == 2


async def test_no_room_left_in_the_deadline() -> None:
    async with bench(1, 2) as b:
        b[1].fault = b[2].fault = GONE
        with pytest.raises(EngineUnavailableError):
            await b.infer(seconds=0.04)
        assert len(b[1].requests) + len(b[2].requests) == 1
        assert b.value("engine_retries_total", outcome="refused") == 1


async def test_the_second_try_has_what_the_deadline_leaves() -> None:
    async with bench(1, 2) as b:
        b[1].fault = b[2].fault = GONE
        with pytest.raises(EngineUnavailableError):
            await b.infer(seconds=5.0)
        first, second = sorted(b[1].requests + b[2].requests, reverse=True)
        assert first <= 5.0
        assert 4.0 < second < first


async def test_the_budget_ends_the_retries() -> None:
    async with bench(1, 2, percent=1) as b:
        b[1].fault = b[2].fault = GONE
        while b.value("engine_retries_total", outcome="sent") < 4:
            await b.up(2)
            with pytest.raises(EngineUnavailableError):
                await b.infer()
        await b.up(2)
        before = len(b[1].requests) + len(b[2].requests)
        with pytest.raises(EngineUnavailableError):
            await b.infer()
        assert len(b[1].requests) + len(b[2].requests) == before + 1
