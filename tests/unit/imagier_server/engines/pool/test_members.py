# SPDX-License-Identifier: Apache-2.0
"""The engines as one, before scripted engines: who is ejected, who comes, goes and comes back."""

from __future__ import annotations

import asyncio

import pytest
from imagier_server.engines import outlier_detection
from imagier_server.engines.budget import RetryBudget
from imagier_server.engines.endpoint import Endpoint
from imagier_server.engines.health_check import HealthCheck
from imagier_server.engines.pool import Engines
from imagier_server.errors import (
    EngineUnavailableError,
    ModelUnavailableError,
)
from imagier_server.metrics import Metrics
from support.scripted_engines import GONE, READY, Scripted, bench


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
        assert b.engines.re_resolve.is_set()


async def test_admitted_again_when_a_health_check_finds_it_ready() -> None:
    async with bench(1, 2) as b:
        b[1].fault, b[1].ready = GONE, {}
        assert {await b.infer() for _ in range(3)} == {2}
        b[1].fault, b[1].ready = None, READY
        await b.up(2)
        assert {await b.infer() for _ in range(2)} == {1, 2}


async def test_each_failure_in_a_row_doubles_the_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlier_detection, "FIRST_EJECTION_SECONDS", 1.0)
    endpoint = Endpoint("1", Scripted("1"))
    intervals = []
    for failures in range(7):
        endpoint.failures = failures
        intervals.append(HealthCheck(endpoint, Engines(READY, Scripted, RetryBudget(0, 0), Metrics())).interval)
    assert intervals == [0.0, 0.0, 1.0, 2.0, 4.0, 4.0, 4.0]


async def test_a_model_that_one_engine_lacks_is_asked_of_the_other() -> None:
    async with bench(1, 2) as b:
        b[1].ready = {"tagger": False, "other": True}
        checks = b[1].checks
        await b.until(lambda: b[1].checks > checks + 1)
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
        b.engines.set_addresses(["1", "2"])
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
        b.engines.set_addresses(["2"])
        assert b.value("engines") == 1
        assert not b[1].closed.is_set()
        b[1].release.set()
        assert sorted(await asyncio.gather(*running)) == [1, 2]
        await b[1].closed.wait()
        assert not b[2].closed.is_set()


async def test_all_replaced_at_once_serve_until_one_of_the_new_is_ready() -> None:
    async with bench(1, 2) as b:
        b.engines.set_addresses(["3", "4"])
        b[3].ready = b[4].ready = {}
        await b.checked(3)
        assert {await b.infer() for _ in range(4)} == {1, 2}
        assert all(b.engines.ready.values())
        b[3].ready = READY
        await b.until(lambda: b.value("engines") == 2)
        assert {await b.infer() for _ in range(4)} == {3}
        await asyncio.gather(b[1].closed.wait(), b[2].closed.wait())


async def test_one_that_is_left_out_stays_for_the_model_that_the_new_one_lacks() -> None:
    async with bench(1) as b:
        b.engines.set_addresses(["2"])
        b[2].ready = {"tagger": True, "other": False}
        await b.up(2)
        assert await b.infer("other") == 1
        b[2].ready = READY
        await b.until(lambda: b.value("engines") == 1)
        assert await b.infer("other") == 2


async def test_one_that_is_left_out_and_fails_does_not_come_back() -> None:
    async with bench(1) as b:
        b.engines.set_addresses(["2"])
        b[2].ready = {}
        b[1].fault = GONE
        with pytest.raises(EngineUnavailableError):
            await b.infer()
        assert b.value("engines") == 1
        await b[1].closed.wait()


async def test_one_that_is_named_again_before_it_was_replaced_keeps_its_connection() -> None:
    async with bench(1) as b:
        b.engines.set_addresses(["2"])
        b[2].ready = {}
        b.engines.set_addresses(["1"])
        await b[2].closed.wait()
        assert await b.infer() == 1
        assert len(b.made["1"]) == 1


async def test_without_any_address_nothing_is_kept() -> None:
    async with bench(1, 2) as b:
        b.engines.set_addresses(())
        assert b.value("engines") == 0
        assert not any(b.engines.ready.values())
        with pytest.raises(EngineUnavailableError):
            await b.infer()
        await asyncio.gather(b[1].closed.wait(), b[2].closed.wait())
