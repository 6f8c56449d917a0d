# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from imagier_server.errors import LedgerUnavailableError
from imagier_server.ledger import ticket_book
from imagier_server.ledger.database import Database
from imagier_server.ledger.schema import tickets
from imagier_server.ledger.ticket_book import TicketBook
from imagier_server.ledger.tickets import LEASE_SECONDS, Kept
from sqlalchemy import select
from support.ledger_cases import account, ask, reserve
from support.ticket_cases import NOW, key

RESULT = bytes(range(256)) * 300
"""Longer than a page of SQLite's."""


@pytest.fixture(autouse=True)
def _quick_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticket_book, "_ROUND_SECONDS", 0.01)


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


async def test_nothing_of_a_result_is_in_the_files_after_it_was_collected(database: Database) -> None:
    one = key(database)
    files = [Path(f"{database.where}{end}") for end in ("", "-wal")]
    piece = RESULT[:256]

    def holds() -> bool:
        return any(piece in file.read_bytes() for file in files if file.exists())

    async with TicketBook(database).open() as book:
        await book.enter("a", one, "")
        assert await book.finish("a", RESULT)
        assert holds()
        assert await book.collect(one) == [Kept("a", RESULT)]
        await book.wipe(one, ["a"])
        async with asyncio.timeout(30):
            while holds():  # noqa: ASYNC110 - the next round makes it true
                await asyncio.sleep(0)


async def test_a_gateway_vouches_for_its_tickets_and_another_gives_up_what_it_left(database: Database) -> None:
    one, clock = key(database), Clock()
    (reservation,) = reserve(database, ask(tags=3))
    async with TicketBook(database, clock).open() as alive:
        await alive.enter("a", one, "")
        async with TicketBook(database, clock).open() as gone:
            await gone.enter("b", one, reservation.id)
        for _ in range(5):  # steps that leave time for a round
            clock.now += LEASE_SECONDS - 5
            async with asyncio.timeout(30):
                while _held(database, "a") < clock.now:  # noqa: ASYNC110 - the next round makes it true
                    await asyncio.sleep(0)
        assert await alive.look(one, ["a", "b"]) == ([Kept("b", None)], {"a"})
        assert account(database).reserved == 0
        assert await alive.finish("a", RESULT)


def _held(database: Database, ticket: str) -> int:
    with database.reading() as connection:
        return int(connection.execute(select(tickets.c.held).where(tickets.c.id == ticket)).scalar_one())


async def test_a_ledger_that_is_away_is_said_and_a_result_is_tried_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticket_book, "_AGAIN_SECONDS", (0.0,) * 1000)
    one = key(database)
    async with TicketBook(database).open() as book:
        await book.enter("a", one, "")
        with database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE tickets RENAME TO away")
        with pytest.raises(LedgerUnavailableError):
            await book.collect(one)
        finishing = asyncio.create_task(book.finish("a", RESULT))
        with database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO tickets")
        assert await finishing
        assert await book.collect(one) == [Kept("a", RESULT)]


async def test_a_result_that_can_never_be_kept_is_given_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticket_book, "_AGAIN_SECONDS", (0.0, 0.0))
    async with TicketBook(database).open() as book:
        with database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE tickets RENAME TO away")
        assert not await book.finish("a", RESULT)
