# SPDX-License-Identifier: Apache-2.0
"""Groups that wait get turns in equal measure, whatever they ask for. Simulated, by the turns that they get."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagier_server.turns import Turns


@dataclass(frozen=True)
class Tenant:
    """`streams` have each one picture waiting; the next one comes `pause` turns after it was served."""

    streams: int
    cost: float = 1.0
    pause: int = 0


def served(tenants: dict[str, Tenant], turns: int) -> Counter[str]:
    """What one server that is always busy gives each tenant, in cost."""
    queue: Turns[None] = Turns()
    coming = [(0, name) for name, tenant in tenants.items() for _ in range(tenant.streams)]
    work: Counter[str] = Counter()
    for now in range(turns):
        for _, name in [each for each in coming if each[0] <= now]:
            queue.add(name, None, tenants[name].cost)
        coming = [each for each in coming if each[0] > now]
        if turn := queue.first():
            queue.take(turn)
            work[turn.group] += turn.cost
            coming.append((now + 1 + tenants[turn.group].pause, turn.group))
    return work


def test_ten_streams_get_no_more_than_one() -> None:
    work = served({"ten": Tenant(10), "one": Tenant(1)}, 1000)
    assert abs(work["ten"] - work["one"]) <= 1


def test_who_comes_back_a_moment_later_loses_nothing() -> None:
    work = served({"ten": Tenant(10), "one": Tenant(1, pause=1)}, 1000)
    assert work["one"] >= 0.95 * work["ten"], "every second turn is what it can take"


def test_expensive_work_gets_fewer_turns() -> None:
    work = served({"pages": Tenant(5, cost=20.0), "tags": Tenant(5, cost=1.0)}, 4000)
    assert work["pages"] == pytest.approx(work["tags"], rel=0.02)


def test_who_was_away_does_not_catch_up_for_long() -> None:
    queue: Turns[None] = Turns()
    for _ in range(1000):
        queue.add("busy", None)
        queue.take(queue.first() or pytest.fail("somebody waits"))
        queue.add("other", None)  # so that the queue is never empty
        queue.take(queue.first() or pytest.fail("somebody waits"))
        queue.add("busy", None)
    for _ in range(100):
        queue.add("away", None)
    order = []
    for _ in range(100):
        turn = queue.first() or pytest.fail("somebody waits")
        queue.take(turn)
        order.append(turn.group)
    assert order[:20].count("away") <= 12
    assert order[20:].count("away") == 40


@given(
    st.dictionaries(
        st.sampled_from("abcdef"), st.builds(Tenant, st.integers(1, 20), st.sampled_from([0.1, 1.0, 5.0])), min_size=2
    )
)
def test_nobody_gets_more_than_another_by_more_than_two_items(tenants: dict[str, Tenant]) -> None:
    work = served(tenants, 2000)
    most = max(tenant.cost for tenant in tenants.values())
    assert max(work.values()) - min(work[name] for name in tenants) <= 2 * most + 1e-6


def test_within_a_group_first_come_is_first_served() -> None:
    queue: Turns[int] = Turns()
    first, second = queue.add("a", 1), queue.add("a", 2)
    queue.add("b", 3)
    assert [[turn.item for turn in group] for group in queue] == [[1, 2], [3]]
    queue.leave(first)
    queue.leave(first)
    assert (queue.first(), len(queue)) == (second, 2)
    queue.take(second)
    assert [turn.item for group in queue for turn in group] == [3]


def test_groups_that_come_and_go_take_no_memory() -> None:
    queue: Turns[None] = Turns()
    queue.add("stays", None)
    for number in range(5000):
        queue.take(queue.add(f"address {number}", None))
    assert len(queue._served) < 1100
