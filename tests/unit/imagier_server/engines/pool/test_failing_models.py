# SPDX-License-Identifier: Apache-2.0
"""The engines as one, before scripted engines: models that fail, engines that hang."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from imagier_server.engines import health_check, outlier_detection
from imagier_server.errors import (
    EngineUnavailableError,
    InternalError,
)
from support.scripted_engines import READY, bench


async def test_a_model_that_fails_in_a_row_is_left_to_another(clock: list[float]) -> None:
    async with bench(1, 2) as b:
        assert {await b.infer() for _ in range(2)} == {1, 2}
        b[1].fault = InternalError()
        await b.fail(1, 5)
        assert {await b.infer() for _ in range(4)} == {2}
        await b.checked(1)
        assert {await b.infer() for _ in range(4)} == {2}, "being ready is what it says all the time"
        b[1].fault = None
        assert {await b.infer("other") for _ in range(4)} == {1, 2}
        assert b.value("engines_up") == 2


async def test_a_model_that_goes_on_failing_is_tried_ever_less_often(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(1, 2) as b:
        monkeypatch.setattr(outlier_detection, "FIRST_EJECTION_SECONDS", 0.5)
        b.metrics.add_engine("1")
        assert {await b.infer() for _ in range(2)} == {1, 2}
        b[1].fault = InternalError()
        await b.fail(1, 5)
        for seconds in (0.5, 1, 2, 4, 4):
            clock[0] += seconds - 0.1
            await b.checked(1)
            assert {await b.infer() for _ in range(4)} == {2}
            clock[0] += 0.1
            await b.checked(1)
            assert b.value("engine_ready", engine="1") == 0, "or an alert would end with each try"
            await b.fail(1, 1)
        clock[0] += 4
        await b.checked(1)
        b[1].fault = None
        assert {await b.infer() for _ in range(4)} == {1, 2}
        assert b.value("engine_ready", engine="1") == 1
        b[1].fault = InternalError()
        await b.fail(1, 5)
        clock[0] += 0.5
        await b.checked(1)
        await b.fail(1, 1)


async def test_errors_with_good_answers_between_are_the_pictures() -> None:
    async with bench(1, 2) as b:
        for _ in range(4):
            assert {await b.infer() for _ in range(2)} == {1, 2}
            b[1].fault = InternalError()
            await b.fail(1, 4)
            b[1].fault = None
            assert {await b.infer() for _ in range(2)} == {1, 2}
        assert {await b.infer() for _ in range(2)} == {1, 2}


async def test_a_picture_that_fails_everywhere_takes_nobody_out(clock: list[float]) -> None:
    async with bench(1, 2, 3) as b:
        assert {await b.infer() for _ in range(3)} == {1, 2, 3}
        for number in (1, 2, 3):
            b[number].fault = InternalError()
        for _ in range(60):
            with pytest.raises(InternalError):
                await b.infer()
        for number in (1, 2, 3):
            b[number].fault = None
        assert all(b.engines.ready.values())
        assert {await b.infer() for _ in range(3)} == {1, 2, 3}


async def test_one_that_fails_is_not_left_for_one_that_has_proven_nothing(clock: list[float]) -> None:
    async with bench(1, 2) as b:
        assert {await b.infer() for _ in range(2)} == {1, 2}
        b[2].ready = {}
        await b.up(1)
        b[2].ready = READY
        await b.up(2)
        b[1].arrived.clear()
        b[2].arrived.clear()
        b[1].release, b[2].release = asyncio.Event(), asyncio.Event()
        running = [asyncio.create_task(b.infer()) for _ in range(2)]
        await asyncio.gather(b[1].arrived.wait(), b[2].arrived.wait())
        b[1].fault = InternalError()
        b[1].release.set()
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        await b.fail(1, 9)
        b[2].release.set()
        assert 2 in await asyncio.gather(*running, return_exceptions=True)


async def test_the_last_one_is_asked_although_it_has_failed(clock: list[float]) -> None:
    async with bench(1, 2) as b:
        assert {await b.infer() for _ in range(2)} == {1, 2}
        b[1].fault = InternalError()
        await b.fail(1, 5)
        b[2].ready = {}
        await b.up(1)
        assert all(b.engines.ready.values())
        await b.fail(1, 1)
        b[1].fault, b[2].ready = None, READY
        assert await b.infer() == 1
        await b.up(2)
        assert {await b.infer() for _ in range(2)} == {1, 2}


async def test_one_that_is_started_again_begins_anew(clock: list[float]) -> None:
    async with bench(1, 2) as b:
        assert {await b.infer() for _ in range(2)} == {1, 2}
        b[1].fault = InternalError()
        await b.fail(1, 5)
        b[1].fault, b[1].ready = None, {}
        await b.up(1)
        b[1].ready = READY
        await b.up(2)
        assert {await b.infer() for _ in range(2)} == {1, 2}


async def test_a_health_check_that_fails_in_a_way_that_nobody_foresaw(caplog: pytest.LogCaptureFixture) -> None:
    async with bench(1, 2) as b:
        sound = b[1].check

        async def check() -> Mapping[str, bool]:
            raise AttributeError("the words on the receipt")

        b[1].check = check  # type: ignore[method-assign]
        await b.up(1)
        assert {await b.infer() for _ in range(4)} == {2}
        assert b.value("engine_ejections_total") == 1
        assert "engine health check failed" in caplog.messages
        assert not any("receipt" in message for message in caplog.messages)
        b[1].check = sound  # type: ignore[method-assign]
        await b.up(2)
        assert {await b.infer() for _ in range(2)} == {1, 2}
        assert len(b.made["1"]) == 1


async def test_what_a_hung_engine_holds_is_given_to_another() -> None:
    async with bench(1, 2) as b:
        b[1].release = b[2].release = asyncio.Event()
        running = [asyncio.create_task(b.infer()) for _ in range(2)]
        await asyncio.gather(b[1].arrived.wait(), b[2].arrived.wait())
        b[2].release = None
        b[1].ready = None
        await b.until(lambda: len(b.made["1"]) == 2)
        assert b.made["1"][0].closed.is_set()
        await b.until(lambda: b.value("engine_retries_total", outcome="sent") == 1)
        b.made["1"][0].release.set()
        assert await asyncio.gather(*running) == [2, 2]


async def test_one_that_has_left_and_hangs_gives_back_what_it_holds() -> None:
    async with bench(1, 2) as b:
        b[1].release = b[2].release = asyncio.Event()
        running = [asyncio.create_task(b.infer()) for _ in range(2)]
        await asyncio.gather(b[1].arrived.wait(), b[2].arrived.wait())
        b[2].release = None
        b.engines.set_addresses(["2"])
        b[1].ready = None
        async with asyncio.timeout(10):
            await b.made["1"][0].closed.wait()
        b[2].requests.clear()
        await b.until(lambda: len(b[2].requests) == 1)
        b.made["1"][0].release.set()
        assert await asyncio.gather(*running) == [2, 2]
        assert b.value("engine_ejections_total") == 0
        await b.until(b[1].closed.is_set)


async def test_the_only_engine_keeps_what_it_holds() -> None:
    async with bench(1) as b:
        b[1].release = asyncio.Event()
        running = asyncio.create_task(b.infer())
        await b[1].arrived.wait()
        b[1].ready = None
        await b.up(0)
        checks = b[1].checks
        await b.until(lambda: b[1].checks > checks + 1)
        assert not b[1].closed.is_set()
        b[1].release.set()
        assert await running == 1


async def test_what_the_only_engine_holds_is_given_up_when_it_is_silent_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health_check, "LOST_THRESHOLD", 4)
    async with bench(1) as b:
        b[1].release = asyncio.Event()
        running = asyncio.create_task(b.infer(seconds=1800.0))
        await b[1].arrived.wait()
        b[1].ready = None
        with pytest.raises(EngineUnavailableError):
            await asyncio.wait_for(running, 10)
        # What comes back is used.
        await b.until(lambda: len(b.made["1"]) == 2)
        await b.up(1)
        assert await b.infer() == 1


async def test_busy_is_not_gone() -> None:
    async with bench(1) as b:

        async def check() -> Mapping[str, bool]:
            checks.append(await b.infer())
            raise TimeoutError

        checks: list[int] = []
        b[1].check = check  # type: ignore[method-assign]
        await b.until(lambda: len(checks) > 2)
        assert b.value("engines_up") == 1


async def test_the_end_leaves_nothing() -> None:
    before = asyncio.all_tasks()
    async with bench(1, 2) as b:
        pass
    assert b[1].closed.is_set()
    assert b[2].closed.is_set()
    assert asyncio.all_tasks() == before
