# SPDX-License-Identifier: Apache-2.0
"""What reads may hold, told from what came on their connections."""

from __future__ import annotations

from collections import Counter

import pytest
from imagier_server.admission.unfinished import Arriving, Unfinished
from imagier_server.call import Caller

MIB = 1 << 20
MESSAGE = 32 * MIB


class Connections:
    """So much has come on each; each read is of the connection given."""

    def __init__(self) -> None:
        self.came: Counter[str] = Counter()
        self.unfinished = Unfinished(MESSAGE, self.came.__getitem__)

    def begin(self, connection: str = "a") -> Arriving:
        read = Arriving(Caller("", connection))
        self.unfinished.begin(read)
        return read


@pytest.fixture
def connections() -> Connections:
    return Connections()


def test_a_read_holds_what_came_since_it_began(connections: Connections) -> None:
    connections.came["a"] = 100 * MIB
    read, other = connections.begin("a"), connections.begin("b")
    assert connections.unfinished.look() == 0
    connections.came["a"] += 3 * MIB
    assert connections.unfinished.look() == 3 * MIB
    assert (read.holds, other.holds) == (3 * MIB, 0)


def test_a_read_holds_one_message_at_most(connections: Connections) -> None:
    read = connections.begin()
    connections.came["a"] = 3 * MESSAGE
    assert connections.unfinished.look() == read.holds == MESSAGE


def test_on_one_connection_the_later_read_has_it_and_the_earlier_the_rest(connections: Connections) -> None:
    idle = connections.begin()
    upload = connections.begin()
    connections.came["a"] += 30 * MIB
    connections.unfinished.look()
    assert (idle.holds, upload.holds) == (0, 30 * MIB)
    connections.came["a"] += 30 * MIB
    assert connections.unfinished.look() == 60 * MIB
    assert (idle.holds, upload.holds) == (28 * MIB, 32 * MIB)


def test_complete_messages_leave_nothing_to_the_read_that_waits_beside_them(connections: Connections) -> None:
    """An hour of pictures: 30 GB in frames of 16 KiB, each with its head, and a call's headers for each picture."""
    size = 3 * MIB
    idle = connections.begin()
    for _ in range(10_000):
        read = connections.begin()
        connections.came["a"] += size + (size // 16_384 + 1) * 9 + 400
        connections.unfinished.end(read, size)
    assert connections.unfinished.look() == idle.holds == 0


def test_complete_messages_are_no_credit(connections: Connections) -> None:
    hostile = connections.begin()
    for _ in range(1000):
        connections.came["a"] += 10
        connections.unfinished.end(connections.begin(), 10)
        connections.unfinished.look()
    connections.came["a"] += 20 * MIB
    assert connections.unfinished.look() == hostile.holds == 20 * MIB


def test_uploads_given_up_count_no_more_when_nobody_reads_their_connection(connections: Connections) -> None:
    for _ in range(10):
        read = connections.begin()
        connections.came["a"] += 20 * MIB
        assert connections.unfinished.look() == 20 * MIB
        connections.unfinished.end(read, None)
    assert connections.unfinished.look() == 0


def test_where_nobody_counts_each_may_hold_a_whole_message() -> None:
    unfinished = Unfinished(MESSAGE, lambda _: None)
    reads = [Arriving(Caller("", "unix:")) for _ in range(3)]
    for read in reads:
        unfinished.begin(read)
    assert unfinished.look() == 3 * MESSAGE
    assert [read.holds for read in reads] == [MESSAGE] * 3


def test_a_connection_that_has_just_been_closed_holds_what_it_did() -> None:
    came: dict[str, int] = {"a": 0}
    unfinished = Unfinished(MESSAGE, came.get)
    read = Arriving(Caller("", "a"))
    unfinished.begin(read)
    came["a"] = MIB
    unfinished.look()
    del came["a"]
    assert unfinished.look() == read.holds == MIB
