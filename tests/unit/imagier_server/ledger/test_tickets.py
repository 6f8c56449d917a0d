# SPDX-License-Identifier: Apache-2.0
"""The ledger's tickets in SQLite. tests/system/ has the same in PostgreSQL."""

from __future__ import annotations

from support.ticket_cases import *  # noqa: F403
