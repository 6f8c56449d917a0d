# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from contextlib import ExitStack

import pytest
from imagier_server.call import Caller
from imagier_server.errors import Full, OverloadedError
from imagier_server.metrics import Metrics
from imagier_server.tickets.places import Places

ONE, OTHER = Caller("tenant a", "tickets"), Caller("tenant b", "tickets")


def taken(places: Places, caller: Caller, size: int, stack: ExitStack) -> int:
    """How many places of that size the caller gets."""
    for count in range(1000):
        try:
            stack.enter_context(places.taken(caller, size))
        except OverloadedError as error:
            assert error.retry_after
            return count
    raise AssertionError


def test_one_tenant_may_have_all_but_an_eighth_and_two_share() -> None:
    with ExitStack() as stack:
        places = Places(80, 1 << 30, Metrics())
        assert taken(places, ONE, 1, stack) == 70
        assert taken(places, OTHER, 1, stack) == 10, "what was kept for the next one"
        with pytest.raises(OverloadedError) as refused:
            stack.enter_context(places.taken(Caller("tenant c", "tickets"), 1))
        assert refused.value.cause == Full.TICKETS


def test_their_pictures_have_a_bound_and_a_picture_that_was_read_gives_room() -> None:
    metrics = Metrics()
    places = Places(1000, 800, metrics)
    with ExitStack() as stack:
        first = stack.enter_context(places.taken(ONE, 600))
        with pytest.raises(OverloadedError) as refused:
            stack.enter_context(places.taken(ONE, 600))
        assert refused.value.cause == Full.TICKET_BYTES
        first.let_go()
        stack.enter_context(places.taken(ONE, 600))
        assert metrics.open_ticket_bytes._value.get() == 600
        assert metrics.open_tickets._value.get() == 2
    assert metrics.open_ticket_bytes._value.get() == metrics.open_tickets._value.get() == 0


def test_a_picture_larger_than_all_is_taken_in_alone() -> None:
    places = Places(10, 100, Metrics())
    with places.taken(ONE, 500):
        pass
