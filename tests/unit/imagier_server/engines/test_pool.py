# SPDX-License-Identifier: Apache-2.0
"""The engines as one, before scripted engines: what is tried again and what is not, who is ejected, who comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import numpy as np
import pytest
from imagier_server.engines import pool
from imagier_server.engines.budget import RetryBudget
from imagier_server.engines.pool import Engines
from imagier_server.errors import (
    DeadlineError,
    EngineUnavailableError,
    Full,
    ImagierError,
    InternalError,
    ModelUnavailableError,
    OverloadedError,
)
from imagier_server.messages import Lane, Tensors
from imagier_server.metrics import Metrics

GONE = EngineUnavailableError("the inference engine does not answer")
READY = {"tagger": True, "other": True}


class Scripted:
    """One engine. `ready` is what a look finds, or why there is no answer; `fault` is what an inference raises."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.ready: Mapping[str, bool] | None = READY
        self.fault: ImagierError | None = None
        self.release: asyncio.Event | None = None
        self.requests: list[float] = []
        self.arrived = asyncio.Event()
        self.looks = 0
        self.closed = asyncio.Event()

    async def infer(self, model: str, inputs: Tensors, *, lane: Lane, seconds: float) -> Tensors:
        self.requests.append(seconds)
        self.arrived.set()
        if self.release:
            waiting = {asyncio.create_task(each.wait()) for each in (self.release, self.closed)}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for each in waiting:
                each.cancel()
        if self.closed.is_set():
            raise GONE
        if self.fault:
            raise self.fault
        return {"from": np.array([int(self.address)])}

    async def look(self) -> Mapping[str, bool]:
        self.looks += 1
        await asyncio.sleep(0)
        if self.ready is None:
            raise TimeoutError
        return self.ready

    async def close(self) -> None:
        self.closed.set()


class Bench:
    """Some engines, by their number."""

    def __init__(self, percent: int = 20) -> None:
        self.metrics = Metrics()
        self.made: dict[str, list[Scripted]] = {}
        self.engines = Engines(READY, self._connect, RetryBudget(percent, 4), self.metrics)

    def _connect(self, address: str) -> Scripted:
        self.made.setdefault(address, []).append(Scripted(address))
        return self.made[address][-1]

    def __getitem__(self, number: int) -> Scripted:
        return self.made[str(number)][-1]

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"imagier_{name}", labels) or 0.0

    async def infer(self, model: str = "tagger", seconds: float = 5.0) -> int:
        return int((await self.engines.infer(model, {}, lane=Lane.INTERACTIVE, seconds=seconds))["from"][0])

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - what it waits for has no event
                await asyncio.sleep(0)

    async def looked(self, number: int) -> None:
        """Returns when a look that began after this call has ended."""
        looks = self[number].looks
        await self.until(lambda: self[number].looks > looks + 1)

    async def fail(self, number: int, times: int) -> None:
        """Requests until that many have failed, all of them there; others may take twice as many."""
        errors, before = 0, len(self[number].requests)
        async with asyncio.timeout(10):
            for _ in range(3 * times):
                try:
                    await self.infer()
                except InternalError:
                    errors += 1
                if errors == times:
                    break
        assert len(self[number].requests) == before + errors == before + times

    async def up(self, count: int) -> None:
        await self.until(lambda: self.value("engines_up") == count)


@asynccontextmanager
async def bench(*numbers: int, percent: int = 20) -> AsyncIterator[Bench]:
    made = Bench(percent)
    async with made.engines:
        made.engines.use([str(number) for number in numbers])
        await made.up(len(numbers))
        yield made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(pool, "_FIRST_EJECTION_SECONDS", 0.01)


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
        assert first == 5.0
        assert 4.0 < second < 5.0


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


async def test_all_that_failed_together_is_one_failure() -> None:
    async with bench(1) as b:
        b[1].release = asyncio.Event()
        running = [asyncio.create_task(b.infer()) for _ in range(5)]
        await b[1].arrived.wait()
        b[1].fault, b[1].ready = GONE, {}
        b[1].release.set()
        results = await asyncio.gather(*running, return_exceptions=True)
        assert all(isinstance(result, EngineUnavailableError) for result in results)
        assert b.value("engine_ejections_total") == 1
        assert b.engines.troubled.is_set()


async def test_admitted_again_when_a_look_finds_it_ready() -> None:
    async with bench(1, 2) as b:
        b[1].fault, b[1].ready = GONE, {}
        assert {await b.infer() for _ in range(3)} == {2}
        b[1].fault, b[1].ready = None, READY
        await b.up(2)
        assert {await b.infer() for _ in range(2)} == {1, 2}


async def test_each_failure_in_a_row_doubles_the_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_FIRST_EJECTION_SECONDS", 1.0)
    member = pool._Member("1", Scripted("1"))
    rests = []
    for failures in range(7):
        member.failures = failures
        rests.append(member.rest)
    assert rests == [0.0, 0.0, 1.0, 2.0, 4.0, 4.0, 4.0]


async def test_a_model_that_one_engine_lacks_is_asked_of_the_other() -> None:
    async with bench(1, 2) as b:
        b[1].ready = {"tagger": False, "other": True}
        looks = b[1].looks
        await b.until(lambda: b[1].looks > looks + 1)
        assert {await b.infer("tagger") for _ in range(4)} == {2}
        assert {await b.infer("other") for _ in range(4)} == {1, 2}
        assert b.value("engine_ejections_total") == 0


async def test_nothing_there_is_said_at_once() -> None:
    async with bench() as b:
        with pytest.raises(EngineUnavailableError) as raised:
            await b.infer()
        assert raised.value.retry_after
    async with bench(1) as b:
        b[1].ready = {"tagger": False, "other": True}
        await b.until(lambda: not b.engines.ready["tagger"])
        with pytest.raises(ModelUnavailableError):
            await b.infer("tagger")
        assert await b.infer("other") == 1


async def test_one_that_comes_is_used_once_it_is_ready() -> None:
    async with bench(1) as b:
        b.engines.use(["1", "2"])
        b[2].ready = {}
        assert {await b.infer() for _ in range(4)} == {1}
        b[2].ready = READY
        await b.up(2)
        assert {await b.infer() for _ in range(4)} == {1, 2}
        assert len(b.made["1"]) == 1


async def test_one_that_goes_finishes_what_it_has() -> None:
    async with bench(1, 2) as b:
        b[1].release = b[2].release = asyncio.Event()
        running = [asyncio.create_task(b.infer()) for _ in range(2)]
        await asyncio.gather(b[1].arrived.wait(), b[2].arrived.wait())
        b.engines.use(["2"])
        assert b.value("engines") == 1
        assert not b[1].closed.is_set()
        b[1].release.set()
        assert sorted(await asyncio.gather(*running)) == [1, 2]
        await b[1].closed.wait()
        assert not b[2].closed.is_set()


async def test_all_replaced_at_once_serve_until_one_of_the_new_is_ready() -> None:
    async with bench(1, 2) as b:
        b.engines.use(["3", "4"])
        b[3].ready = b[4].ready = {}
        await b.looked(3)
        assert {await b.infer() for _ in range(4)} == {1, 2}
        assert all(b.engines.ready.values())
        b[3].ready = READY
        await b.until(lambda: b.value("engines") == 2)
        assert {await b.infer() for _ in range(4)} == {3}
        await asyncio.gather(b[1].closed.wait(), b[2].closed.wait())


async def test_one_that_is_left_out_stays_for_the_model_that_the_new_one_lacks() -> None:
    async with bench(1) as b:
        b.engines.use(["2"])
        b[2].ready = {"tagger": True, "other": False}
        await b.up(2)
        assert await b.infer("other") == 1
        b[2].ready = READY
        await b.until(lambda: b.value("engines") == 1)
        assert await b.infer("other") == 2


async def test_one_that_is_left_out_and_fails_does_not_come_back() -> None:
    async with bench(1) as b:
        b.engines.use(["2"])
        b[2].ready = {}
        b[1].fault = GONE
        with pytest.raises(EngineUnavailableError):
            await b.infer()
        assert b.value("engines") == 1
        await b[1].closed.wait()


async def test_one_that_is_named_again_before_it_was_replaced_keeps_its_connection() -> None:
    async with bench(1) as b:
        b.engines.use(["2"])
        b[2].ready = {}
        b.engines.use(["1"])
        await b[2].closed.wait()
        assert await b.infer() == 1
        assert len(b.made["1"]) == 1


async def test_without_any_address_nothing_is_kept() -> None:
    async with bench(1, 2) as b:
        b.engines.use(())
        assert b.value("engines") == 0
        assert not any(b.engines.ready.values())
        with pytest.raises(EngineUnavailableError):
            await b.infer()
        await asyncio.gather(b[1].closed.wait(), b[2].closed.wait())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time for which a model is benched goes by this."""
    time = [1000.0]
    monkeypatch.setattr(pool, "_now", lambda: time[0])
    return time


async def test_a_model_that_fails_in_a_row_is_left_to_another(clock: list[float]) -> None:
    async with bench(1, 2) as b:
        assert {await b.infer() for _ in range(2)} == {1, 2}
        b[1].fault = InternalError()
        await b.fail(1, 5)
        assert {await b.infer() for _ in range(4)} == {2}
        await b.looked(1)
        assert {await b.infer() for _ in range(4)} == {2}, "being ready is what it says all the time"
        b[1].fault = None
        assert {await b.infer("other") for _ in range(4)} == {1, 2}
        assert b.value("engines_up") == 2


async def test_a_model_that_goes_on_failing_is_tried_ever_less_often(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(1, 2) as b:
        monkeypatch.setattr(pool, "_FIRST_EJECTION_SECONDS", 0.5)
        b.metrics.add_engine("1")
        assert {await b.infer() for _ in range(2)} == {1, 2}
        b[1].fault = InternalError()
        await b.fail(1, 5)
        for seconds in (0.5, 1, 2, 4, 4):
            clock[0] += seconds - 0.1
            await b.looked(1)
            assert {await b.infer() for _ in range(4)} == {2}
            clock[0] += 0.1
            await b.looked(1)
            assert b.value("engine_ready", engine="1") == 0, "or an alert would end with each try"
            await b.fail(1, 1)
        clock[0] += 4
        await b.looked(1)
        b[1].fault = None
        assert {await b.infer() for _ in range(4)} == {1, 2}
        assert b.value("engine_ready", engine="1") == 1
        b[1].fault = InternalError()
        await b.fail(1, 5)
        clock[0] += 0.5
        await b.looked(1)
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


async def test_a_look_that_fails_in_a_way_that_nobody_foresaw(caplog: pytest.LogCaptureFixture) -> None:
    async with bench(1, 2) as b:
        sound = b[1].look

        async def look() -> Mapping[str, bool]:
            raise AttributeError("the words on the receipt")

        b[1].look = look  # type: ignore[method-assign]
        await b.up(1)
        assert {await b.infer() for _ in range(4)} == {2}
        assert b.value("engine_ejections_total") == 1
        assert "engine look failed" in caplog.messages
        assert not any("receipt" in message for message in caplog.messages)
        b[1].look = sound  # type: ignore[method-assign]
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
        b.engines.use(["2"])
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
        looks = b[1].looks
        await b.until(lambda: b[1].looks > looks + 1)
        assert not b[1].closed.is_set()
        b[1].release.set()
        assert await running == 1


async def test_busy_is_not_gone() -> None:
    async with bench(1) as b:

        async def look() -> Mapping[str, bool]:
            looks.append(await b.infer())
            raise TimeoutError

        looks: list[int] = []
        b[1].look = look  # type: ignore[method-assign]
        await b.until(lambda: len(looks) > 2)
        assert b.value("engines_up") == 1


async def test_the_end_leaves_nothing() -> None:
    before = asyncio.all_tasks()
    async with bench(1, 2) as b:
        pass
    assert b[1].closed.is_set()
    assert b[2].closed.is_set()
    assert asyncio.all_tasks() == before
