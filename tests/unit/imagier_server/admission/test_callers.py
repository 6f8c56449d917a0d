# SPDX-License-Identifier: Apache-2.0
"""Who may hold what of a room: alone nearly all of it, beside others no more than leaves them theirs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagier_server.admission.callers import Shares
from imagier_server.call import ANYBODY, Caller

NAMES = st.sampled_from("abcd")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def fill(shares: Shares, caller: Caller, most: int = 1000) -> int:
    """Takes one at a time for as long as it may; how many."""
    for taken in range(most):
        if not shares.fits(caller, 1):
            return taken
        shares.change(caller, 1)
    return most


def test_one_alone_may_hold_all_but_an_eighth() -> None:
    assert fill(Shares(64), ANYBODY) == 56
    assert fill(Shares(1), ANYBODY) == 1


def test_who_floods_is_held_to_twice_what_another_uses_and_gets_half_of_an_equal_part_at_least() -> None:
    shares = Shares(64)
    flood, polite = Caller("flood", "1"), Caller("polite", "1")
    shares.fits(polite, 1)
    for _ in range(10):
        shares.change(polite, 1)
    assert fill(shares, flood) == 20
    shares.change(polite, -9)
    assert not shares.fits(flood, 1)
    shares.change(flood, -5)
    assert fill(shares, flood) == 1, "sixteen: half of an equal part"


def test_two_who_want_all_get_equal_parts() -> None:
    shares = Shares(64)
    both = [Caller("a", "1"), Caller("b", "1")]
    for _ in range(100):
        for caller in both:
            if shares.fits(caller, 1):
                shares.change(caller, 1)
    assert not any(shares.fits(caller, 1) for caller in both)
    assert fill(shares, both[0]) == 0
    assert shares._groups["a"].held == shares._groups["b"].held == 32


def test_the_connections_of_one_address_share_what_it_has() -> None:
    shares = Shares(64)
    flood, polite = Caller("proxy", "1"), Caller("proxy", "2")
    shares.fits(polite, 1)
    assert fill(shares, flood) == 14, "half of half of 56"
    assert fill(shares, polite) == 28


def test_each_may_hold_one_however_many_they_are_and_however_large() -> None:
    shares = Shares(4)
    for number in range(20):
        assert shares.fits(Caller(str(number), "1"), 100)
        shares.change(Caller(str(number), "1"), 100)


def test_who_has_not_asked_for_a_while_and_holds_nothing_is_forgotten() -> None:
    clock = Clock()
    shares = Shares(64, clock=clock)
    for number in range(50):
        shares.fits(Caller(str(number), "1"), 1)
    shares.change(Caller("0", "1"), 1)
    clock.now += 10
    shares.fits(ANYBODY, 1)
    assert set(shares._groups) == {"0", ""}
    shares.change(Caller("0", "1"), -1)
    clock.now += 10
    assert fill(shares, Caller("1", "1")) == 56


def test_closed_connections_have_no_share() -> None:
    connected = {"open"}
    shares = Shares(64, connected.__contains__)
    for number in range(5):
        assert shares.fits(Caller("php", str(number)), 1)
    assert fill(shares, Caller("php", "open")) == 56


def test_an_open_connection_and_one_that_works_keep_their_share() -> None:
    connected = {"open", "flood"}
    shares = Shares(64, connected.__contains__)
    shares.fits(Caller("php", "open"), 1)
    shares.change(Caller("php", "closed"), 1)  # its work is not over yet
    assert fill(shares, Caller("php", "flood")) == 9, "half of a third"


def test_one_that_was_refused_has_a_share_for_a_while_on_whatever_connection_it_returns() -> None:
    clock = Clock()
    shares = Shares(64, {"flood"}.__contains__, clock)
    flood = Caller("php", "flood")
    assert fill(shares, flood) == 56
    assert not shares.fits(Caller("php", "1"), 1)
    for _ in range(56 - 14):
        shares.change(flood, -1)
        assert not shares.fits(flood, 1)
    assert shares.fits(Caller("php", "2"), 1)
    clock.now += 10
    assert fill(shares, flood) == 56 - 14


def test_closed_connections_are_not_looked_for_at_each_vain_request() -> None:
    looked: list[str] = []

    def connected(name: str) -> bool:
        looked.append(name)
        return True

    shares = Shares(64, connected)
    flood = Caller("php", "flood")
    shares.fits(Caller("php", "open"), 1)
    fill(shares, flood)
    for _ in range(100):
        assert not shares.fits(flood, 1)
    assert looked == ["open"]


@given(st.lists(st.tuples(NAMES, NAMES, st.booleans()), max_size=200), st.integers(1, 40))
def test_what_is_held_adds_up_and_nobody_is_shut_out(steps: list[tuple[str, str, bool]], total: int) -> None:
    shares = Shares(total, clock=Clock())
    held: list[Caller] = []
    for group, member, takes in steps:
        caller = Caller(group, member)
        if takes and shares.fits(caller, 1):
            shares.change(caller, 1)
            held.append(caller)
        elif not takes and caller in held:
            shares.change(caller, -1)
            held.remove(caller)
        for name, sharer in shares._groups.items():
            assert sharer.held == sum(other.group == name for other in held)
            assert sharer.held == sum(one.held for one in sharer.members.values())
            assert sharer.held <= total
    assert shares.fits(Caller("new", "1"), 1)


@pytest.mark.parametrize(("total", "free"), [(1, 0), (2, 1), (8, 1), (64, 7)])
def test_a_stream_keeps_an_eighth_of_it_free(total: int, free: int) -> None:
    shares = Shares(total)
    taken = 0
    while shares.fits(ANYBODY, 1, keep=True):
        shares.change(ANYBODY, 1)
        taken += 1
    assert fill(shares, ANYBODY) == free
    assert taken >= 1
