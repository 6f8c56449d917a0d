# SPDX-License-Identifier: Apache-2.0
"""What a shutdown refuses, what it interrupts, and what it waits for."""

from __future__ import annotations

import asyncio

import pytest
from imagier_server.admission.admission import Receipt
from imagier_server.admission.draining import Draining
from imagier_server.errors import DrainingError
from imagier_server.messages import AnnotateRequest
from support.calls import call

REQUEST = AnnotateRequest(b"a picture", {})


async def test_what_is_under_way_is_waited_for_and_what_is_new_is_refused() -> None:
    draining = Draining()
    async with draining.stage(REQUEST, call(), Receipt()):
        draining.begin()
        with pytest.raises(DrainingError) as refused:
            await draining.stage(REQUEST, call(), Receipt()).__aenter__()
        assert refused.value.retry_after is not None
        idle = asyncio.create_task(draining.idle())
        await asyncio.wait([idle], timeout=0.01)
        assert not idle.done()
    await idle


async def test_it_is_idle_when_the_last_has_ended_and_not_the_first() -> None:
    draining = Draining()
    with draining.under_way():
        with draining.under_way():
            idle = asyncio.create_task(draining.idle())
            await asyncio.wait([idle], timeout=0.01)
        await asyncio.wait([idle], timeout=0.01)
        assert not idle.done()
    await idle
    await draining.idle()


async def test_whoever_waits_is_interrupted_and_whoever_comes_to_wait_is_not_let() -> None:
    draining = Draining()

    async def wait() -> None:
        async with draining.interruptible():
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.wait([waiting], timeout=0.01)
    assert not waiting.done()
    draining.begin()
    with pytest.raises(DrainingError):
        await waiting
    with pytest.raises(DrainingError):
        await wait()
