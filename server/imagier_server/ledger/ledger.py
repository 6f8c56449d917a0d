# SPDX-License-Identifier: Apache-2.0
"""A gateway's way to its ledger: keys, reservations, and what a tenant may see of its account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from imagier_server.call import CallContext
from imagier_server.errors import LedgerUnavailableError, UnauthenticatedError
from imagier_server.ledger import accounts
from imagier_server.ledger.booking import Ask, Reservation
from imagier_server.ledger.bookkeeper import Bookkeeper
from imagier_server.ledger.database import Database, DatabaseError, LedgerError
from imagier_server.ledger.keyring import Keyring
from imagier_server.ledger.ticket_book import TicketBook
from imagier_server.messages import Account, Use
from imagier_server.metrics import Metrics

_READERS = 2

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reserved:
    """Credits reserved for work in flight."""

    bookkeeper: Bookkeeper
    reservation: Reservation

    @property
    def id(self) -> str:
        """Its name in the ledger."""
        return self.reservation.id

    async def settle(self, charges: Mapping[str, int]) -> None:
        """Charge the credits of each task that succeeded; the rest is given back."""
        await self.bookkeeper.settle(self.reservation, charges)


class Ledger:
    """Keys and credits of one gateway; made by `opened`."""

    def __init__(
        self,
        database: Database,
        readers: ThreadPoolExecutor,
        bookkeeper: Bookkeeper,
        keyring: Keyring,
        tickets: TicketBook,
    ) -> None:
        self._database = database
        self._readers = readers
        self._bookkeeper = bookkeeper
        self.keyring = keyring
        self.tickets = tickets

    async def reserve(self, prices: Mapping[str, int], seconds: float, call: CallContext) -> Reserved:
        """Reserve the price of each task for the caller's tenant, for at most `seconds`.

        Raises `UnpaidError`, `CreditsReservedError`, `LedgerUnavailableError`.
        """
        if call.identity is None:
            raise UnauthenticatedError("credits belong to a key")
        who = call.identity
        ask = Ask(who.tenant, who.key_id, prices, seconds, call.operation)
        return Reserved(self._bookkeeper, await self._bookkeeper.reserve(ask))

    async def account(self, tenant: str) -> Account | None:
        """A tenant's account; None if there is none. Raises `LedgerUnavailableError`."""
        return await self._read(lambda connection: accounts.account(connection, tenant))

    async def usage(self, tenant: str, since: int, until: int) -> list[Use] | None:
        """What a tenant used between two times; None if there is no such tenant. Raises `LedgerUnavailableError`."""
        return await self._read(lambda connection: accounts.usage(connection, tenant, since, until))

    async def _read(self, query: Callable[[Connection], T]) -> T | None:
        def read() -> T | None:
            with self._database.reading() as connection:
                try:
                    return query(connection)
                except LedgerError:
                    return None

        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, read)
        except DatabaseError:
            raise LedgerUnavailableError from None


@asynccontextmanager
async def opened(where: str, metrics: Metrics) -> AsyncIterator[Ledger]:
    """Open, and if need be create or upgrade, the ledger at a path or URL. Raises `LedgerError`."""
    database = Database(where)
    readers = ThreadPoolExecutor(_READERS, "ledger-reader")
    try:
        await asyncio.to_thread(database.migrate)
        async with (
            Bookkeeper(database, metrics).open() as bookkeeper,
            Keyring(database, readers).following() as keyring,
            TicketBook(database).open() as tickets,
        ):
            yield Ledger(database, readers, bookkeeper, keyring, tickets)
    finally:
        readers.shutdown(wait=False, cancel_futures=True)
        database.close()
