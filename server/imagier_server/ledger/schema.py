# SPDX-License-Identifier: Apache-2.0
"""The tables of the ledger. Times are seconds since 1970, UTC; credits are whole numbers."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_TENANT = "accounts.tenant"

accounts = Table(
    "accounts",
    metadata,
    Column("tenant", Text, primary_key=True),
    # The sum of the tenant's entries, kept beside them so that a reservation is one statement.
    Column("balance", BigInteger, nullable=False),
    # The sum of the tenant's reservations.
    Column("reserved", BigInteger, CheckConstraint("reserved >= 0", name="ck_accounts_reserved"), nullable=False),
    # Pays later: the balance may fall below 0.
    Column("postpaid", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, ForeignKey(_TENANT), nullable=False),
    # SHA-256 of the key. NULL: a client certificate stands for it.
    Column("digest", LargeBinary(32)),
    # A name in the client certificate: its common name, or one of its alternative names.
    Column("certificate", Text, unique=True),
    # Separated by spaces.
    Column("scopes", Text, nullable=False),
    # Limits of its own: pictures in a window ("500 per 4 hours"), pictures and bytes in flight. NULL: the server's.
    Column("pictures", Text),
    Column("in_flight", Integer),
    Column("in_flight_bytes", BigInteger),
    # Origins that results may be sent to, separated by spaces.
    Column("callbacks", Text, nullable=False, server_default=""),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("revoked", BigInteger),
)

key_changes = Table(
    "key_changes",
    metadata,
    # One row. Gateways read the keys again when it has changed.
    Column("number", BigInteger, nullable=False),
)

entries = Table(
    "entries",
    metadata,
    # Append-only: a trigger refuses UPDATE and DELETE.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("tenant", Text, ForeignKey(_TENANT), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("task", Text, nullable=False),
    # Above 0 for a grant, 0 or below for a charge.
    Column("amount", BigInteger, nullable=False),
    # An operation is entered once for each task, however often it is tried.
    Column("operation", Text, nullable=False),
    UniqueConstraint("operation", "task"),
    Index(None, "tenant", "at"),
)

reservations = Table(
    "reservations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, ForeignKey(_TENANT), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False, index=True),
)

tickets = Table(
    "tickets",
    metadata,
    # Random. Nothing of a picture is in a row but its result, which only the API key opens.
    Column("id", Text, primary_key=True),
    Column("key_id", Text, ForeignKey("keys.id"), nullable=False, index=True),
    # "open" while a gateway works on it, "done", or "lost" with that gateway.
    Column("state", Text, nullable=False),
    # Of the gateway that has the picture in its memory.
    Column("gateway", Text, nullable=False),
    # The credits that a lost ticket gives back.
    Column("reservation", Text, nullable=False),
    # Open: how long the gateway vouches for it. Done: until then the result is on its way to somebody.
    Column("held", BigInteger, nullable=False),
    Column("sealed", LargeBinary),
    Column("expires", BigInteger, nullable=False, index=True),
    Index(None, "gateway"),
)
