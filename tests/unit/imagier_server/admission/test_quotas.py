# SPDX-License-Identifier: Apache-2.0
"""Pictures in moving windows, counted by the real `limits` in memory, and what happens when a shared store fails."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from imagier_server.admission.admission import Receipt
from imagier_server.admission.quotas import Quotas, Windows, _Memory
from imagier_server.call import CallContext, Caller, Identity, KeyLimits, Lane, Transport
from imagier_server.errors import QuotaError
from imagier_server.messages import AnnotateRequest, KeywordsRequest
from imagier_server.metrics import Metrics
from limits.aio.storage import MemoryStorage

PICTURE = AnnotateRequest(b"x", {})
ADDRESS = CallContext(Transport.GRPC, Lane.INTERACTIVE, Caller("10.0.0.1", "10.0.0.1:5"))


def of_key(key: str, limits: KeyLimits | None = None) -> CallContext:
    return replace(ADDRESS, identity=Identity(key, "museum", frozenset(), limits or KeyLimits()))


class Broken(MemoryStorage):
    """A store that fails when it is told to; counts what it is asked."""

    fails = False
    asked = 0

    @property
    def base_exceptions(self) -> type[Exception]:
        return ConnectionResetError

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        self.asked += 1
        if self.fails:
            raise ConnectionResetError
        return await super().acquire_entry(key, limit, expiry, amount)


def quotas(pictures: str | None = None, total: str | None = None, store: MemoryStorage | None = None) -> Quotas:
    return Quotas(KeyLimits(pictures), total, Windows(Metrics(), store))


async def take(quota: Quotas, call: CallContext = ADDRESS, times: int = 1) -> None:
    for _ in range(times):
        async with quota.stage(PICTURE, call, Receipt()):
            pass


class Wall:
    """The wall clock, which a test sets; `limits` reads it too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.jumped = 0.0
        monkeypatch.setattr("limits.aio.storage.memory.time", SimpleNamespace(time=self))

    def __call__(self) -> float:
        return time.time() + self.jumped


async def refused(quota: Quotas, call: CallContext = ADDRESS) -> QuotaError:
    with pytest.raises(QuotaError) as error:
        await take(quota, call)
    return error.value


async def test_by_default_there_is_no_quota() -> None:
    await take(quotas(), times=100)


async def test_a_full_window_says_when_it_moves_on() -> None:
    quota = quotas("3 per 4 h")
    await take(quota, times=3)
    error = await refused(quota)
    assert (error.cause, error.used_up, error.reason) == ("KEY_PICTURES", "key:pictures", "QUOTA_EXCEEDED")
    assert 14_000 < (error.retry_after or 0) <= 14_400
    assert "3 per 4 hour" in error.text


async def test_each_key_has_its_own_window_and_its_own_limit() -> None:
    quota = quotas("2 per hour")
    for call in (of_key("a"), of_key("b"), ADDRESS):
        await take(quota, call, times=2)
        await refused(quota, call)
    generous = of_key("c", KeyLimits("5 per hour"))
    await take(quota, generous, times=5)
    await refused(quota, generous)
    await take(quota, of_key("d", KeyLimits("")), times=50)


async def test_all_keys_together_have_one_too() -> None:
    quota = quotas("5 per hour", "6 per hour")
    await take(quota, of_key("a"), times=4)
    await take(quota, of_key("b"), times=2)
    error = await refused(quota, of_key("b"))
    assert (error.cause, error.used_up) == ("SERVER_PICTURES", "server:pictures")


async def test_a_picture_refused_by_one_window_counts_in_no_other() -> None:
    quota = quotas("2 per hour; 100 per day", "100 per day")
    await take(quota, times=2)
    for _ in range(5):
        await refused(quota)
    (windows,) = [quota._windows]
    counts = sorted(len(events) for events in windows._memory.storage.events.values())  # type: ignore[union-attr]
    assert counts == [2, 2, 2]


async def test_a_clock_that_jumped_ahead_and_back_refuses_nobody_until_then(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "imagier")
    wall = Wall(monkeypatch)
    quota = Quotas(KeyLimits("3 per hour"), "100 per hour", Windows(Metrics(), clock=wall))
    await take(quota, times=3)
    wall.jumped = 86_400.0
    await take(quota, times=3)
    await refused(quota)
    wall.jumped = 0.0
    await take(quota, times=3)
    assert [record.getMessage() for record in caplog.records] == ["clock jumped: quotas count from zero"] * 2
    assert 3_000 < ((await refused(quota)).retry_after or 0) <= 3_600


async def test_a_clock_set_by_a_little_empties_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = Wall(monkeypatch)
    quota = Quotas(KeyLimits("3 per hour"), None, Windows(Metrics(), clock=wall))
    await take(quota, times=3)
    for wall.jumped in (2.0, -2.0):
        await refused(quota)


async def test_keywords_are_no_pictures() -> None:
    quota = quotas("1 per hour")
    for _ in range(5):
        async with quota.stage(KeywordsRequest(("cat",)), ADDRESS, Receipt()):
            pass


async def test_names_in_a_store_tell_nothing() -> None:
    store = Broken()
    await take(quotas("5 per hour", store=store), of_key("img_secret"))
    assert len(store.events) == 1
    assert not any("secret" in name or "10.0.0" in name for name in store.events)


async def test_gateways_share_a_store_and_count_alone_while_it_fails(caplog: pytest.LogCaptureFixture) -> None:
    store, metrics = Broken(), Metrics()
    one, other = (Quotas(KeyLimits("4 per hour"), None, Windows(metrics, store)) for _ in range(2))
    await take(one, times=2)
    await take(other, times=2)
    await refused(one)
    await refused(other)
    store.fails = True
    asked = store.asked
    with caplog.at_level(logging.INFO, "imagier"):
        await take(one, times=4)
        await refused(one)
    assert store.asked == asked + 1, "it is left alone for some seconds"
    assert metrics.registry.get_sample_value("imagier_quota_store_up") == 0
    assert [record.getMessage() for record in caplog.records].count(
        "quota store fails: this gateway counts by itself"
    ) == 1
    store.fails, one._windows._again = False, 0.0
    await refused(one)
    assert one._windows._failing is False
    assert metrics.registry.get_sample_value("imagier_quota_store_up") == 1


async def test_many_callers_do_not_cost_each_picture_a_look_at_all_of_them(monkeypatch):
    looked = 0
    real = asyncio.to_thread

    async def to_thread(*arguments: Any) -> Any:
        nonlocal looked
        looked += 1
        return await real(*arguments)

    monkeypatch.setattr(
        "limits.aio.storage.memory.asyncio", SimpleNamespace(**vars(asyncio) | {"to_thread": to_thread})
    )
    quota = quotas("5 per hour")
    for _ in range(3):
        for number in range(20):
            await take(quota, of_key(f"k{number}"))
            await asyncio.sleep(0)
    assert looked <= 20
    with pytest.raises(QuotaError):
        await take(quota, of_key("k0"), times=3)


async def test_what_has_expired_is_swept_out(monkeypatch):
    monkeypatch.setattr("imagier_server.admission.quotas._REST_SECONDS", 0.0)
    wall = Wall(monkeypatch)
    memory = _Memory()
    await memory.acquire_entry("old", 5, 60)
    wall.jumped = 120.0
    async with asyncio.timeout(60):
        while "old" in memory.events:
            await memory.acquire_entry("new", 10**6, 60)
            await asyncio.sleep(0)
