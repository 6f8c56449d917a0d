# SPDX-License-Identifier: Apache-2.0
"""The ledger's keys in SQLite. tests/system/ has the same in PostgreSQL."""

from __future__ import annotations

from support.key_cases import *  # noqa: F403
