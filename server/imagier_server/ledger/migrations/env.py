# SPDX-License-Identifier: Apache-2.0
"""Runs migrations on the connection, and in the transaction, that database.py has opened."""

from __future__ import annotations

from alembic import context

from imagier_server.ledger.schema import metadata

if hasattr(context, "config"):  # alembic runs this module
    context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
    context.run_migrations()
