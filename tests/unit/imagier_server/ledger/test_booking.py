# SPDX-License-Identifier: Apache-2.0
"""A tenant beside a model, in SQLite. tests/system/ has the same in PostgreSQL."""

from __future__ import annotations

from support.ledger_model import *  # noqa: F403
