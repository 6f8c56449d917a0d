# SPDX-License-Identifier: Apache-2.0
"""Calls of a batch have places of their own, wait in the bulk lane, and count as one member of their group."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest
from imagier_server.admission.batches import Batches
from imagier_server.admission.callers import Shares
from imagier_server.admission.pace import Pace
from imagier_server.call import CallContext, Caller, Lane, Transport
from imagier_server.errors import OverloadedError
from imagier_server.metrics import Metrics


def batches(places: int = 8, wait_seconds: float = 45, metrics: Metrics | None = None) -> Batches:
    return Batches(Shares(places), wait_seconds, 60, metrics or Metrics(), Pace())


def call(group: str = "site", member: str = "1") -> CallContext:
    return CallContext(Transport.HTTP, Lane.INTERACTIVE, Caller(group, member))


async def test_it_waits_in_the_bulk_lane_as_one_member_of_its_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 1000.0)
    room = batches()
    with room.place(call()) as first, room.place(call(member="2")) as second:
        assert first.caller == second.caller
        assert (first.lane, first.caller.group) == (Lane.BULK, "site")
        assert (first.waits_until, first.deadline) == (1045, 1060)


async def test_it_does_not_wait_beyond_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 1000.0)
    with batches(wait_seconds=300).place(call()) as waiting:
        assert waiting.waits_until == waiting.deadline == 1060


async def test_the_places_have_a_bound_and_are_given_back() -> None:
    metrics = Metrics()
    room = batches(places=8, metrics=metrics)
    with ExitStack() as crowd:
        for member in range(7):
            crowd.enter_context(room.place(call(member=str(member))))
        with pytest.raises(OverloadedError) as refused:
            crowd.enter_context(room.place(call(member="7")))
        assert refused.value.retry_after
        assert refused.value.cause == "ARRIVING_FULL"
        crowd.enter_context(room.place(call("another")))
    assert metrics.registry.get_sample_value("imagier_refused_calls_total", {"reason": "ARRIVING_FULL"}) == 1
    for member in range(20):
        with room.place(call(member=str(member))):
            pass
