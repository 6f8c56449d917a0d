# SPDX-License-Identifier: Apache-2.0
"""Keys, accounts, entries and reservations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_SQLITE = """
CREATE TRIGGER entries_{what} BEFORE {what} ON entries BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END
"""
_POSTGRESQL = (
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'entries are append-only'; END $$
    """,
    "CREATE TRIGGER entries_change BEFORE UPDATE OR DELETE ON entries FOR EACH ROW EXECUTE FUNCTION refuse_change()",
)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "accounts",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("balance", sa.BigInteger, nullable=False),
        sa.Column("reserved", sa.BigInteger, nullable=False),
        sa.Column("postpaid", sa.Boolean, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.CheckConstraint("reserved >= 0", name="ck_accounts_reserved"),
        sa.PrimaryKeyConstraint("tenant", name="pk_accounts"),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, sa.ForeignKey("accounts.tenant"), nullable=False),
        sa.Column("digest", sa.LargeBinary(32)),
        sa.Column("certificate", sa.Text),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("pictures", sa.Text),
        sa.Column("in_flight", sa.Integer),
        sa.Column("in_flight_bytes", sa.BigInteger),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger),
        sa.Column("revoked", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.UniqueConstraint("certificate", name="uq_keys_certificate"),
    )
    changes = op.create_table("key_changes", sa.Column("number", sa.BigInteger, nullable=False))
    op.bulk_insert(changes, [{"number": 0}])
    op.create_table(
        "entries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False, autoincrement=True),
        sa.Column("tenant", sa.Text, sa.ForeignKey("accounts.tenant"), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("operation", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_entries"),
        sa.UniqueConstraint("operation", "task", name="uq_entries_operation"),
    )
    op.create_index("ix_entries_tenant", "entries", ["tenant", "at"])
    op.create_table(
        "reservations",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, sa.ForeignKey("accounts.tenant"), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reservations"),
    )
    op.create_index("ix_reservations_expires", "reservations", ["expires"])
    if op.get_context().dialect.name == "sqlite":
        for what in ("UPDATE", "DELETE"):
            op.execute(_SQLITE.format(what=what))
    else:
        for statement in _POSTGRESQL:
            op.execute(statement)
