# SPDX-License-Identifier: Apache-2.0
"""Tickets, and the origins that a key's results may be sent to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table, and add the column to keys."""
    op.add_column("keys", sa.Column("callbacks", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "tickets",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, sa.ForeignKey("keys.id"), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("gateway", sa.Text, nullable=False),
        sa.Column("reservation", sa.Text, nullable=False),
        sa.Column("held", sa.BigInteger, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tickets"),
    )
    for column in ("key_id", "expires", "gateway"):
        op.create_index(f"ix_tickets_{column}", "tickets", [column])
