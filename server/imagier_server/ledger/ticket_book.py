# SPDX-License-Identifier: Apache-2.0
"""A gateway's way to the tickets of the ledger: vouches for its own, gives up those of gateways that are gone, forgets in time."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Self, TypeVar

from sqlalchemy import Connection

from imagier_server.errors import LedgerUnavailableError
from imagier_server.ledger import tickets
from imagier_server.ledger.database import Database, DatabaseError
from imagier_server.ledger.schema import tickets as table
from imagier_server.ledger.tickets import Kept, Opened
from imagier_server.logs import log

_ROUND_SECONDS = 4.0
_AGAIN_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Between two tries to keep a result. Then it is lost, and not charged."""

T = TypeVar("T")


class TicketBook:
    """The tickets of one ledger. Use it within `open`. Everything but `finish` raises `LedgerUnavailableError`.

    `now` is the wall clock's time in seconds.
    """

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now
        self._threads = ThreadPoolExecutor(1, "tickets")
        self._gateway = secrets.token_hex(8)
        self._open: set[str] = set()  # bounded by the desk
        self._forgotten = asyncio.Event()
        self._traces = True  # another gateway may have left some
        self._away = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Do rounds until the end of the block."""
        rounds = asyncio.create_task(self._rounds())
        try:
            yield self
        finally:
            rounds.cancel()
            await asyncio.wait([rounds])
            self._threads.shutdown(wait=False)

    async def enter(self, ticket: str, key_id: str, reservation: str) -> None:
        """Enter a ticket. Raises `QuotaError`, `OverloadedError` if too many wait to be collected."""
        opened = Opened(ticket, key_id, self._gateway, reservation)
        await self._write(lambda connection: tickets.open_ticket(connection, opened, int(self._now())))
        self._open.add(ticket)

    async def finish(self, ticket: str, sealed: bytes, held: float = 0) -> bool:
        """Keep a result, for `held` seconds for its gateway alone. False if the ticket was given up, or the ledger stays away."""
        try:
            for wait in (*_AGAIN_SECONDS, None):
                try:
                    return await self._write(
                        lambda connection: tickets.finish(connection, ticket, sealed, int(self._now()), held)
                    )
                except LedgerUnavailableError:
                    if wait is None:
                        return False
                    await asyncio.sleep(wait)
            return False
        finally:
            self._open.discard(ticket)

    async def lose(self, which: Sequence[str]) -> None:
        """Give up open tickets of this gateway."""
        self._open.difference_update(which)
        await self._write(lambda connection: tickets.lose(connection, table.c.id.in_(which)))

    async def drop(self, ticket: str) -> None:
        """Forget a ticket whose caller was never told of it."""
        self._open.discard(ticket)
        await self._write(lambda connection: tickets.drop(connection, ticket))

    async def collect(self, key_id: str) -> list[Kept]:
        """Hand out what has ended of a key's tickets; `wipe` what has arrived. Else it is handed out again, a little later."""
        return await self._write(lambda connection: tickets.collect(connection, key_id, int(self._now())))

    async def look(self, key_id: str, wanted: Sequence[str]) -> tuple[list[Kept], set[str]]:
        """Which of a key's tickets have ended, and the ids of those that have not."""
        return await self._write(lambda connection: tickets.look(connection, key_id, wanted, int(self._now())))

    async def release(self, ticket: str) -> None:
        """Let a result be collected from now on."""
        await self._write(lambda connection: tickets.release(connection, ticket))

    async def wipe(self, key_id: str, which: Sequence[str]) -> None:
        """Forget a key's tickets that have ended, and soon the traces of their results."""
        if await self._write(lambda connection: tickets.wipe(connection, key_id, which)):
            self._traces = True
            self._forgotten.set()

    async def _write(self, statement: Callable[[Connection], T]) -> T:
        def write() -> T:
            with self._database.writing() as connection:
                return statement(connection)

        return await self._run(write)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except DatabaseError:
            raise LedgerUnavailableError from None

    async def _rounds(self) -> None:
        while True:
            try:
                await self._run(self._round)
                self._away = False
            except LedgerUnavailableError:
                if not self._away:
                    log(logging.WARNING, "tickets cannot be looked after: the ledger is away")
                self._away = True
            try:
                async with asyncio.timeout(_ROUND_SECONDS):
                    await self._forgotten.wait()
            except TimeoutError:
                pass
            self._forgotten.clear()

    def _round(self) -> None:
        now = int(self._now())
        if self._open:  # first: a gateway that was held up must not give up its own
            with self._database.writing() as connection:
                tickets.renew(connection, self._gateway, now)
        with self._database.reading() as connection:
            due = tickets.due(connection, now)
        if due:
            with self._database.writing() as connection:
                tickets.sweep(connection, now)
            self._traces = True
        if self._traces:
            self._traces = not self._database.forget()
