# SPDX-License-Identifier: Apache-2.0
"""Makes the ledger of a benchmark, and checks at the end that every answer was charged, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from imagier_server.ledger import accounts, keys
from imagier_server.ledger.database import Database
from imagier_server.ledger.keys import Wish

_TENANT, _CREDITS = "library", 10**9


@dataclass(frozen=True)
class Ledger:
    """A ledger in SQLite with one tenant, who has `key`."""

    database: Database
    key: str

    @property
    def where(self) -> str:
        """What the server's setting `ledger` says."""
        return self.database.where

    def check(self, answered: int) -> None:
        """Exit if the ledger does not add up, has something reserved, or has not one charge for each answer."""
        with self.database.reading() as connection:
            wrong = accounts.faults(connection)
            charged = sum(use.pictures for use in accounts.usage(connection, _TENANT))
            reserved = accounts.account(connection, _TENANT).reserved
        if wrong or reserved or charged != answered:
            raise SystemExit(f"{answered} answers, {charged} charges, {reserved} credits reserved: {wrong}")


@contextmanager
def made_ledger(folder: Path) -> Iterator[Ledger]:
    """Make one in a folder."""
    with closing(Database(str(folder / "ledger.db"))) as database:
        database.migrate()
        with database.writing() as connection:
            _, key = keys.create(connection, Wish(_TENANT, allowance=_CREDITS))
        yield Ledger(database, key)
