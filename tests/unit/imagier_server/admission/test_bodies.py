# SPDX-License-Identifier: Apache-2.0
"""Which bodies give way when there are too many bytes."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest
from imagier_server.admission.bodies import Bodies, Body
from imagier_server.call import Caller

ONE, OTHER = Caller("one", "a"), Caller("other", "b")


def test_the_oldest_of_the_group_that_holds_most_gives_way() -> None:
    bodies = Bodies(100)
    with ExitStack() as stack:
        first, second, third = (stack.enter_context(bodies.body(caller)) for caller in (OTHER, ONE, ONE))
        bodies.add(first, 40)
        bodies.add(second, 30)
        bodies.add(third, 30)
        assert not any(body.stopped for body in (first, second, third))
        bodies.add(first, 1)
        assert (first.stopped, second.stopped, third.stopped) == (False, True, False)
        bodies.add(third, 60)
        assert third.stopped, "what is about to go counts as gone; it holds most"
        assert not first.stopped


def test_what_has_gone_makes_room() -> None:
    bodies = Bodies(100)
    for _ in range(3):
        with bodies.body(ONE) as body:
            bodies.add(body, 100)
            assert not body.stopped
    with bodies.body(ONE) as body:
        bodies.add(body, 101)
        assert body.stopped, "one alone may not hold more either"


async def _waiting(bodies: Bodies, body: Body, other: Body) -> None:
    async with asyncio.timeout(60) as body.ends:
        bodies.add(other, 50)
        await asyncio.Event().wait()


async def test_its_time_is_over_at_once() -> None:
    bodies = Bodies(100)
    with bodies.body(ONE) as body, bodies.body(OTHER) as other:
        bodies.add(body, 60)
        with pytest.raises(TimeoutError):
            await _waiting(bodies, body, other)
