# SPDX-License-Identifier: Apache-2.0
"""Tests of the ledger's tickets, for any database: collected as `ledger_cases` is."""

from __future__ import annotations

import pytest
from imagier_server.errors import OverloadedError, QuotaError
from imagier_server.ledger import keys, tickets
from imagier_server.ledger.database import Database
from imagier_server.ledger.keys import Wish
from imagier_server.ledger.schema import tickets as table
from imagier_server.ledger.tickets import HAND_OUT_SECONDS, KEPT_SECONDS, LEASE_SECONDS, Kept, Opened

from support.ledger_cases import account, ask, reserve

NOW = 1_800_000_000


def key(database: Database, tenant: str = "library") -> str:
    with database.writing() as connection:
        made, _ = keys.create(connection, Wish(tenant, allowance=10))
    return made.identity.key_id


def opened(database: Database, key_id: str, *ids: str, gateway: str = "g1", reservation: str = "") -> None:
    with database.writing() as connection:
        for each in ids:
            tickets.open_ticket(connection, Opened(each, key_id, gateway, reservation), NOW)


def finished(database: Database, *ids: str, held: float = 0) -> list[bool]:
    with database.writing() as connection:
        return [tickets.finish(connection, each, each.encode(), NOW, held) for each in ids]


def collected(database: Database, key_id: str, now: int = NOW) -> list[Kept]:
    with database.writing() as connection:
        return tickets.collect(connection, key_id, now)


def swept(database: Database, now: int) -> int:
    with database.writing() as connection:
        assert tickets.due(connection, now)
        gone = tickets.sweep(connection, now)
        assert not tickets.due(connection, now)
        return gone


def test_a_result_is_handed_out_once_to_its_own_key(database: Database) -> None:
    one, other = key(database), key(database, "archive")
    opened(database, one, "a", "b", "c")
    opened(database, other, "d")
    assert finished(database, "b", "a", "d") == [True, True, True]
    assert finished(database, "a") == [False], "a ticket ends once"
    assert [each.id for each in collected(database, one)] == ["a", "b"]
    assert collected(database, one) == []
    assert collected(database, other) == [Kept("d", b"d")]


def test_what_did_not_arrive_is_handed_out_again_and_what_arrived_is_gone(database: Database) -> None:
    one = key(database)
    opened(database, one, "a", "b")
    finished(database, "a", "b")
    assert len(collected(database, one)) == 2
    with database.writing() as connection:
        assert tickets.wipe(connection, one, ["a"]) == 1
        assert connection.execute(table.select()).one().id == "b"
    assert collected(database, one, NOW + HAND_OUT_SECONDS) == [Kept("b", b"b")]


def test_nobody_wipes_the_tickets_of_another_key_or_open_ones(database: Database) -> None:
    one, other = key(database), key(database, "archive")
    opened(database, one, "a", "b")
    finished(database, "a")
    with database.writing() as connection:
        assert tickets.wipe(connection, other, ["a", "b"]) == 0
        assert tickets.wipe(connection, one, ["b"]) == 0
        found, pending = tickets.look(connection, other, ["a", "b"], NOW)
        assert (found, pending) == ([], set())
        found, pending = tickets.look(connection, one, ["a", "b", "c"], NOW)
    assert (found, pending) == ([Kept("a", b"a")], {"b"})


def test_a_result_on_its_way_to_a_callback_is_not_handed_out(database: Database) -> None:
    one = key(database)
    opened(database, one, "a")
    finished(database, "a", held=600)
    assert collected(database, one) == []
    with database.writing() as connection:
        assert tickets.look(connection, one, ["a"], NOW) == ([], {"a"})
        tickets.release(connection, "a")
    assert collected(database, one) == [Kept("a", b"a")]


def test_the_tickets_of_a_gateway_that_is_gone_are_lost_and_give_their_credits_back(database: Database) -> None:
    one = key(database)
    gone, alive = reserve(database, ask(tags=3), ask(tags=4))
    opened(database, one, "a", gateway="gone", reservation=gone.id)
    opened(database, one, "b", gateway="alive", reservation=alive.id)
    assert account(database).reserved == 7
    later = NOW + LEASE_SECONDS + 1
    with database.writing() as connection:
        tickets.renew(connection, "alive", later)
    swept(database, later)
    assert account(database).reserved == 4
    assert collected(database, one) == [Kept("a", None)]
    assert finished(database, "a", "b") == [False, True]


def test_what_nobody_collects_is_forgotten_after_a_day(database: Database) -> None:
    one = key(database)
    opened(database, one, "a")
    finished(database, "a")
    assert swept(database, NOW + KEPT_SECONDS) == 1
    assert collected(database, one, NOW + KEPT_SECONDS) == []


def test_there_are_only_so_many(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets, "MOST_OF_KEY", 2)
    monkeypatch.setattr(tickets, "MOST", 3)
    one, other, third = key(database), key(database, "archive"), key(database, "museum")
    opened(database, one, "a", "b")
    with pytest.raises(QuotaError) as refused:
        opened(database, one, "c")
    assert refused.value.retry_after
    opened(database, other, "d")
    with pytest.raises(OverloadedError) as full:
        opened(database, third, "e")
    assert full.value.retry_after


def test_a_ticket_that_nobody_was_told_of_leaves_nothing(database: Database) -> None:
    one = key(database)
    opened(database, one, "a")
    with database.writing() as connection:
        tickets.drop(connection, "a")
        assert connection.execute(table.select()).all() == []
