# SPDX-License-Identifier: Apache-2.0
"""Tests of the ledger for any database: collected where a module imports them and has a fixture `database`, new for each test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from threading import Barrier, Thread
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from imagier_server.errors import CreditsReservedError, UnpaidError
from imagier_server.ledger import accounts, booking
from imagier_server.ledger.booking import LONGEST_SECONDS, Ask, Reservation, Settlement, post
from imagier_server.ledger.database import Database, DatabaseError, LedgerError
from imagier_server.ledger.schema import entries, metadata
from imagier_server.messages import Account, Use
from sqlalchemy import delete, update

DAY = 86_400


def rich(database: Database, tenant: str = "library", amount: int = 100) -> Database:
    """The database, with a tenant that has credits."""
    with database.writing() as connection:
        accounts.open_account(connection, tenant)
        if amount:
            accounts.grant(connection, tenant, amount)
    return database


def account(database: Database, tenant: str = "library") -> Account:
    with database.reading() as connection:
        assert accounts.faults(connection) == []
        return accounts.account(connection, tenant)


def ask(tenant: str = "library", operation: str = "", seconds: float = 60, **prices: int) -> Ask:
    return Ask(tenant, "k1", prices or {"tags": 1}, seconds, operation)


def reserve(database: Database, *asks: Ask) -> list[Any]:
    with database.writing() as connection:
        return post(connection, asks, [])


def settle(database: Database, *settlements: tuple[Reservation, Mapping[str, int]]) -> None:
    with database.writing() as connection:
        post(connection, [], [Settlement(*each) for each in settlements])


def sweep(database: Database) -> None:
    with database.writing() as connection:
        post(connection, [], [], sweep=True)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the ledger sees, to be changed."""
    now = [1_800_000_000.0]
    monkeypatch.setattr(booking.time, "time", lambda: now[0])
    return now


def test_the_migrations_make_the_tables_of_the_schema(database: Database) -> None:
    database.migrate()  # again changes nothing
    with database.writing() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_entries_are_append_only(database: Database) -> None:
    rich(database)
    for change in (update(entries).values(amount=10**6), delete(entries)):
        with pytest.raises(DatabaseError, match="append-only"), database.writing() as connection:
            connection.execute(change)
    assert account(database).balance == 100


def test_credits_are_granted_and_taken_back_in_whole_numbers(database: Database) -> None:
    rich(database)
    with database.writing() as connection:
        assert accounts.grant(connection, "library", 50, reference="invoice 7")
        assert not accounts.grant(connection, "library", 50, reference="invoice 7"), "the same reference counts once"
        assert accounts.grant(connection, "library", -30)
    (reservation,) = reserve(database, ask(tags=100))
    for amount in (0, 10**16, -(10**16), -21):
        with pytest.raises(LedgerError), database.writing() as connection:
            accounts.grant(connection, "library", amount)
    with pytest.raises(LedgerError, match="no such tenant"), database.writing() as connection:
        accounts.grant(connection, "nobody", 1)
    assert account(database) == Account("library", 120, 100, postpaid=False)
    settle(database, (reservation, {}))
    assert account(database) == Account("library", 120, 0, postpaid=False)


def test_credits_are_reserved_charged_for_what_succeeded_and_given_back_for_the_rest(database: Database) -> None:
    rich(database, amount=10)
    (reservation,) = reserve(database, ask(tags=2, caption=5, ocr=3))
    assert account(database) == Account("library", 10, 10, postpaid=False)
    (refused,) = reserve(database, ask(tags=1))
    assert isinstance(refused, CreditsReservedError)
    settle(database, (reservation, {"tags": 2, "ocr": 3}))
    assert account(database) == Account("library", 5, 0, postpaid=False)
    (refused,) = reserve(database, ask(caption=6))
    assert isinstance(refused, UnpaidError)
    with database.reading() as connection:
        today = accounts.usage(connection, "library")[0].day
        assert accounts.usage(connection, "library") == [Use(today, "ocr", 1, 3), Use(today, "tags", 1, 2)]
        assert accounts.usage(connection, "library", today + DAY) == []
        assert accounts.usage(connection, "library", 0, today) == []


def test_several_asks_of_one_transaction_get_what_there_is_in_their_order(database: Database) -> None:
    rich(database, amount=5)
    rich(database, "archive", 1)
    made = reserve(database, ask(tags=3), ask(tags=4), ask("archive"), ask(tags=2), ask("archive"), ask("nobody"))
    assert [isinstance(each, Reservation) for each in made] == [True, False, True, True, False, False]
    assert account(database).available == account(database, "archive").available == 0


def test_a_tenant_that_pays_later_may_owe(database: Database) -> None:
    rich(database, amount=1)
    with database.writing() as connection:
        accounts.set_postpaid(connection, "library", postpaid=True)
    (reservation,) = reserve(database, ask(tags=5))
    settle(database, (reservation, {"tags": 5}))
    assert account(database) == Account("library", -4, 0, postpaid=True)
    with database.writing() as connection:
        accounts.set_postpaid(connection, "library", postpaid=False)
    (refused,) = reserve(database, ask())
    assert isinstance(refused, UnpaidError)


def test_a_retry_of_an_operation_is_free(database: Database) -> None:
    rich(database, amount=7)
    (first,) = reserve(database, ask(operation="o", tags=2, ocr=5))
    settle(database, (first, {"tags": 2}))  # the text could not be read
    (second,) = reserve(database, ask(operation="o", tags=2, ocr=5))
    assert second.amount == 5, "only what the first try was not charged for"
    settle(database, (second, {"tags": 2, "ocr": 5}))
    (third,) = reserve(database, ask(operation="o", tags=2, ocr=5))
    assert third.amount == 0
    settle(database, (third, {"tags": 2, "ocr": 5}))
    assert account(database) == Account("library", 0, 0, postpaid=False)


def test_tries_at_the_same_time_on_two_gateways_are_charged_once(database: Database) -> None:
    rich(database, amount=4)
    tries = reserve(database, ask(operation="o", tags=2)) + reserve(database, ask(operation="o", tags=2))
    for each in tries:
        settle(database, (each, {"tags": 2}))
    assert account(database) == Account("library", 2, 0, postpaid=False)


def test_a_settlement_that_is_entered_twice_charges_once(database: Database) -> None:
    rich(database)
    (reservation,) = reserve(database, ask(tags=2))
    for _ in range(2):
        settle(database, (reservation, {"tags": 2}), (reservation, {"tags": 2}))
    assert account(database) == Account("library", 98, 0, postpaid=False)


def test_an_expired_reservation_is_swept_and_its_late_charge_is_not_lost(
    database: Database, clock: list[float]
) -> None:
    rich(database, amount=10)
    (reservation,) = reserve(database, ask(tags=6, seconds=60))
    sweep(database)
    assert account(database).reserved == 6, "it may still be in use"
    clock[0] += 62
    sweep(database)
    assert account(database).reserved == 0
    (other,) = reserve(database, ask(tags=6))
    settle(database, (reservation, {"tags": 6}))
    assert account(database) == Account("library", 4, 6, postpaid=False)
    settle(database, (other, {"tags": 6}))
    assert account(database) == Account("library", -2, 0, postpaid=False)


def test_a_clock_that_jumps_neither_loses_nor_keeps_credits(database: Database, clock: list[float]) -> None:
    rich(database, amount=10)
    (reservation,) = reserve(database, ask(tags=6))
    right = clock[0]
    clock[0] = right + 100 * DAY
    sweep(database)
    assert account(database).reserved == 0
    reserve(database, ask(tags=5))
    clock[0] = right
    sweep(database)
    assert account(database).reserved == 0, "made by the wrong clock, it would last for a hundred days"
    settle(database, (reservation, {"tags": 6}))
    assert account(database).balance == 4


def test_no_reservation_outlasts_the_longest(database: Database, clock: list[float]) -> None:
    rich(database)
    reserve(database, ask(seconds=10**9))
    clock[0] += LONGEST_SECONDS + 2
    sweep(database)
    assert account(database).reserved == 0


def test_gateways_that_write_at_the_same_time_never_reserve_more_than_there_is(database: Database) -> None:
    """Each has a connection of its own; the tenants come in opposite orders, which must not lock both out."""
    rich(database, "a", 60)
    rich(database, "b", 60)
    charged: Counter[str] = Counter()
    start, failures = Barrier(4), []

    def gateway(tenants: tuple[str, str]) -> None:
        try:
            with closing(Database(database.where)) as own:
                start.wait(30)
                for _ in range(10):
                    made = reserve(own, *(ask(tenant) for tenant in tenants for _ in range(2)))
                    good = [each for each in made if isinstance(each, Reservation)]
                    settle(own, *((each, {"tags": 1}) for each in good))
                    charged.update(each.ask.tenant for each in good)
        except Exception as error:  # noqa: BLE001 - the test's own thread shows it
            failures.append(error)

    threads = [Thread(target=gateway, args=(order,)) for order in (("a", "b"), ("b", "a")) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    for tenant in ("a", "b"):
        assert account(database, tenant) == Account(tenant, 60 - charged[tenant], 0, postpaid=False)
