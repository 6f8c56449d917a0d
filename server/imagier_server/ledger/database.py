# SPDX-License-Identifier: Apache-2.0
"""Opens the ledger's database: SQLite in WAL mode, where every write begins IMMEDIATE, or PostgreSQL. Migrates it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

_BUSY_SECONDS = 2
"""How long SQLite waits for another process's transaction."""
_SERVER_SECONDS = 5
"""How long PostgreSQL has to answer."""
_READING = "imagier_reading"
_MIGRATION_LOCK = 0x494D4147  # of PostgreSQL's advisory locks; "IMAG"

DatabaseError = SQLAlchemyError
"""What any statement may raise. Its text may hold the database's address: it is never shown to callers."""


class LedgerError(Exception):
    """The ledger cannot be opened; the text says why and what to do."""


class Database:
    """A ledger's database by the path of a SQLite file, or by a URL such as postgresql://USER@HOST/NAME.

    Raises `LedgerError` for a wrong address. Blocking: call it in a thread.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        try:
            url = make_url(where if "://" in where else f"sqlite:///{Path(where).absolute()}")
            backend = url.get_backend_name()
            if backend not in {"sqlite", "postgresql"}:
                raise LedgerError("the ledger is a path, or a URL that begins with postgresql://")
            self.engine: Engine = _sqlite(url) if backend == "sqlite" else _postgresql(url)
        except (ArgumentError, NoSuchModuleError, ValueError):
            raise LedgerError("the ledger is a path, or a URL: postgresql://USER@HOST/NAME") from None

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is committed at the end of the block. Raises `DatabaseError`."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that reads one state, and keeps nobody from writing. Raises `DatabaseError`."""
        with self.engine.connect().execution_options(**{_READING: True}) as connection, connection.begin():
            yield connection

    def migrate(self) -> None:
        """Create or upgrade the tables. Raises `LedgerError`."""
        if self.engine.dialect.name == "sqlite" and self.engine.url.database:
            with suppress(OSError):  # what is wrong, SQLite says better
                Path(self.engine.url.database).touch(mode=0o600)
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        try:
            with self.writing() as connection:
                if connection.dialect.name == "postgresql":
                    # Several gateways may start at once.
                    connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except CommandError:
            raise LedgerError("the ledger belongs to a newer version: upgrade this one") from None
        except DBAPIError as error:
            raise LedgerError(f"the ledger cannot be opened: {_why(error)}") from None

    def forget(self) -> bool:
        """Empty SQLite's log, which still has what was deleted; return whether nobody was in the way. Raises `DatabaseError`.

        PostgreSQL does so in its own time, by vacuum and checkpoints.
        """
        if self.engine.dialect.name != "sqlite":
            return True
        connection = self.engine.raw_connection()
        try:
            busy, *_ = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error:
            return False
        finally:
            connection.close()
        return not busy

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def latest() -> str | None:
    """The newest schema's name."""
    return ScriptDirectory(str(Path(__file__).parent / "migrations")).get_current_head()


def _why(error: DBAPIError) -> str:
    """The database's own words on one line."""
    return " ".join(str(error.orig).split())


def _sqlite(url: Any) -> Engine:
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we begin transactions ourselves, below
        # What is deleted is overwritten: results of tickets.
        for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {setting}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # A transaction that reads first and then writes could not wait for another writer.
        reading = connection.get_execution_options().get(_READING)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _postgresql(url: Any) -> Engine:
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=4,
        max_overflow=0,
        pool_timeout=_SERVER_SECONDS,
        # A connection that a restart of the database has closed is noticed before its use.
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": _SERVER_SECONDS,
            "options": f"-c statement_timeout={_SERVER_SECONDS}s -c idle_in_transaction_session_timeout=60s",
            "tcp_user_timeout": _SERVER_SECONDS * 1000,
            "application_name": "imagier",
        },
    )
