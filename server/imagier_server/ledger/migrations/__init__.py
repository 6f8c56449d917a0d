# SPDX-License-Identifier: Apache-2.0
"""The history of the ledger's tables, which alembic runs."""
