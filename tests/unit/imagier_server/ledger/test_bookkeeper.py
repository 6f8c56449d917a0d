# SPDX-License-Identifier: Apache-2.0
"""Many reservations in one transaction, and what happens while the database is away."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

import pytest
from imagier_server.errors import CreditsReservedError, LedgerUnavailableError, UnpaidError
from imagier_server.ledger import accounts
from imagier_server.ledger.booking import Ask
from imagier_server.ledger.bookkeeper import Bookkeeper
from imagier_server.ledger.database import Database
from imagier_server.metrics import Metrics
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from support.ledger_cases import account, rich


class Failing(Database):
    """A database that fails before a transaction, or so late that it has been committed; that hangs, or takes no writes."""

    before = after = read_only = False
    transactions = 0

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.goes_on = Event()
        self.goes_on.set()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        self.transactions += 1
        self.goes_on.wait(30)
        if self.before:
            raise OperationalError("", {}, sqlite3.OperationalError("database or disk is full"))
        with super().writing() as connection:
            connection.exec_driver_sql(f"PRAGMA query_only={self.read_only}")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("PRAGMA query_only=OFF")  # or the next transaction could not begin
        if self.after:
            raise OperationalError("", {}, ConnectionError())


@pytest.fixture
def ledger(database: Database) -> Failing:
    rich(database)
    return Failing(database.where)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def bookkeeper(ledger: Failing, metrics: Metrics) -> AsyncIterator[Bookkeeper]:
    async with Bookkeeper(ledger, metrics).open() as made:
        yield made
    ledger.close()


def ask(operation: str = "", **prices: int) -> Ask:
    return Ask("library", "k1", prices or {"tags": 1}, 60, operation)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - a thread makes it true
            await asyncio.sleep(0)


async def reserved(bookkeeper: Bookkeeper, wanted: Ask) -> Any:
    """The reservation, as soon as the ledger is back."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await bookkeeper.reserve(wanted)
            except LedgerUnavailableError:
                await asyncio.sleep(0)


async def test_what_comes_at_once_goes_into_few_transactions(bookkeeper: Bookkeeper, ledger: Failing) -> None:
    made = await asyncio.gather(*(bookkeeper.reserve(ask()) for _ in range(100)))
    assert ledger.transactions < 10
    with pytest.raises(CreditsReservedError):
        await bookkeeper.reserve(ask())
    await asyncio.gather(*(bookkeeper.settle(each, {"tags": 1}) for each in made[:60]))
    await asyncio.gather(*(bookkeeper.settle(each, {}) for each in made[60:]))
    await until(lambda: account(ledger).reserved == 0)
    assert account(ledger).balance == 40
    assert ledger.transactions < 30
    with pytest.raises(UnpaidError):
        await bookkeeper.reserve(ask(tags=41))


async def test_the_charge_is_in_the_ledger_before_the_answer_goes_out(bookkeeper: Bookkeeper, ledger: Failing) -> None:
    await bookkeeper.settle(await bookkeeper.reserve(ask()), {"tags": 1})
    assert (account(ledger).balance, account(ledger).reserved) == (99, 0)


@pytest.mark.parametrize("how", ["before", "after"])
async def test_while_the_ledger_is_away_work_in_flight_is_answered_and_charged_once_later(
    bookkeeper: Bookkeeper, ledger: Failing, metrics: Metrics, how: str
) -> None:
    in_flight = [await bookkeeper.reserve(ask()) for _ in range(3)]
    setattr(ledger, how, True)
    async with asyncio.timeout(30):
        await bookkeeper.settle(in_flight[0], {"tags": 1})
        await bookkeeper.settle(in_flight[1], {"tags": 1})
        await bookkeeper.settle(in_flight[2], {})
    await until(lambda: not metrics.ledger_up._value.get())
    with pytest.raises(LedgerUnavailableError) as caught:
        await bookkeeper.reserve(ask())
    assert caught.value.retry_after
    setattr(ledger, how, False)
    again = await reserved(bookkeeper, ask())
    await bookkeeper.settle(again, {})
    await until(lambda: account(ledger).reserved == 0)
    assert account(ledger).balance == 98
    assert metrics.ledger_up._value.get()
    assert not metrics.ledger_unsettled._value.get()


async def test_what_is_reserved_for_a_caller_who_has_gone_is_given_back(
    bookkeeper: Bookkeeper, ledger: Failing
) -> None:
    ledger.goes_on.clear()
    waiting = asyncio.create_task(bookkeeper.reserve(ask()))
    await until(lambda: ledger.transactions)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    ledger.goes_on.set()
    await bookkeeper.settle(await bookkeeper.reserve(ask()), {"tags": 1})
    await until(lambda: account(ledger).reserved == 0)
    assert account(ledger).balance == 99


async def test_at_the_end_everything_is_entered(ledger: Failing, metrics: Metrics) -> None:
    async with Bookkeeper(ledger, metrics).open() as bookkeeper:
        made = [await bookkeeper.reserve(ask()) for _ in range(5)]
        settling = [asyncio.create_task(bookkeeper.settle(each, {"tags": 1})) for each in made]
        await asyncio.sleep(0)
    await asyncio.gather(*settling)
    assert (account(ledger).balance, account(ledger).reserved) == (95, 0)
    with pytest.raises(LedgerUnavailableError):
        await bookkeeper.reserve(ask())


async def test_a_retry_of_a_charged_operation_reserves_nothing(bookkeeper: Bookkeeper, ledger: Failing) -> None:
    for _ in range(2):
        await bookkeeper.settle(await bookkeeper.reserve(ask("o")), {"tags": 1})
    assert account(ledger).balance == 99


async def test_a_full_disk_refuses_new_work_and_charges_nothing_twice(ledger: Failing, metrics: Metrics) -> None:
    """A real one, as SQLite sees it: the file may not grow."""

    def pages(limit: int) -> None:
        with ledger.engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count={limit}")

    async with Bookkeeper(ledger, metrics).open() as bookkeeper:
        paid = 0
        with ledger.reading() as connection:
            size = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        pages(size + 1)
        refused = False
        for _ in range(100):
            try:
                await bookkeeper.settle(await bookkeeper.reserve(ask("x" * 4000 + str(paid))), {"tags": 1})
                paid += 1
            except LedgerUnavailableError:
                refused = True
                break
        assert refused
        pages(1_000_000)
        last = await reserved(bookkeeper, ask())
        await bookkeeper.settle(last, {})
        await until(lambda: not account(ledger).reserved)
    with ledger.reading() as connection:
        charged = sum(use.pictures for use in accounts.usage(connection, "library"))
    assert account(ledger).balance == 100 - charged
    assert charged in {paid, paid + 1}


async def test_a_ledger_that_takes_no_writes_is_away_until_it_does(
    bookkeeper: Bookkeeper, ledger: Failing, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a full disk, a transaction that writes nothing succeeds all the while."""

    def up() -> float | None:
        return metrics.registry.get_sample_value("imagier_ledger_up")

    ledger.read_only = True
    with pytest.raises(LedgerUnavailableError):
        await bookkeeper.reserve(ask())
    tried = ledger.transactions
    await until(lambda: up() == 1 or ledger.transactions >= tried + 3)
    assert up() == 0
    assert [record.getMessage() for record in caplog.records] == ["the ledger is away"], "once an outage"
    ledger.read_only = False
    await until(lambda: up() == 1)
    await bookkeeper.settle(await bookkeeper.reserve(ask()), {"tags": 1})
