# SPDX-License-Identifier: Apache-2.0
"""Who is refused is told when there will be room, by what ends per second now."""

from __future__ import annotations

import math

import pytest
from imagier_server.admission.pace import LONGEST_SECONDS, SHORTEST_SECONDS, BusyRate, Pace, within_bounds


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def busy(per_second: float, pictures: int = 200) -> tuple[Pace, Clock]:
    """A server that has always something in flight."""
    clock = Clock()
    pace = Pace(clock)
    pace.begin()
    work(pace, clock, per_second, pictures)
    return pace, clock


def work(pace: Pace, clock: Clock, per_second: float, pictures: int) -> None:
    for _ in range(pictures):
        pace.begin()
        clock.now += 1 / per_second
        pace.end()


def test_a_rate_is_one_of_busy_time() -> None:
    rate = BusyRate()
    assert rate.per_second(0.0) is None
    for second in range(0, 100, 10):  # busy for a tenth of the time
        rate.begin(2, second)
        rate.end(2, second + 1)
    assert rate.per_second(200.0) == pytest.approx(2.0)
    rate.begin(4, 200.0)
    rate.end(4, 201.0, done=False)
    assert 1.0 < (rate.per_second(201.0) or 0) < 2.0, "a second in which nothing ended well"


def test_turns_follow_each_other_at_the_pace_of_the_work() -> None:
    pace, _ = busy(per_second=4)
    assert [pace.turn("a") for _ in range(4)] == pytest.approx([0.25, 0.5, 0.75, 1.0], rel=0.05)


def test_turns_that_have_passed_delay_nobody() -> None:
    pace, clock = busy(per_second=4)
    for _ in range(20):
        pace.turn("a")
    work(pace, clock, per_second=4, pictures=10)
    assert pace.turn("a") == pytest.approx(2.75, rel=0.05), "half of them are still to come"
    work(pace, clock, per_second=4, pictures=100)
    assert pace.turn("a") == pytest.approx(0.25, rel=0.05)


def test_a_flood_delays_its_own_group_only() -> None:
    pace, _ = busy(per_second=10)
    assert max(pace.turn("flood") for _ in range(200)) > 15
    assert pace.turn("polite") == pytest.approx(0.2, rel=0.1), "half of the pace is another group's"


def test_delays_have_bounds() -> None:
    slow, _ = busy(per_second=0.01, pictures=3)
    assert slow.turn("a") == slow.turn("a") == LONGEST_SECONDS
    fast, _ = busy(per_second=5000)
    assert fast.turn("a") == SHORTEST_SECONDS
    assert Pace(Clock()).turn("a") == 1.0, "nothing is known yet"
    assert (within_bounds(0), within_bounds(3), within_bounds(math.inf)) == (SHORTEST_SECONDS, 3, LONGEST_SECONDS)


def test_groups_without_number_take_no_memory() -> None:
    pace, _ = busy(per_second=10)
    for number in range(10_000):
        pace.turn(f"address {number}")
    assert len(pace._turns) <= 4097
