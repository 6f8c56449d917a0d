# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from imagier_server.call import TASKS, Identity
from imagier_server.errors import LedgerUnavailableError, UnauthenticatedError
from imagier_server.ledger.database import Database, LedgerError
from imagier_server.ledger.ledger import opened
from imagier_server.metrics import Metrics
from support.calls import call
from support.ledger_cases import account, rich


async def test_an_operation_is_charged_to_the_tenant_of_the_key(database: Database) -> None:
    rich(database)
    keyed = replace(call(), identity=Identity("k1", "library", frozenset({TASKS})), operation="o")
    async with opened(database.where, Metrics()) as ledger:
        for _ in range(2):
            await (await ledger.reserve({"tags": 2}, 60, keyed)).settle({"tags": 2})
        found = await ledger.account("library")
        used = await ledger.usage("library", 0, 10**11)
        assert (await ledger.account("nobody"), await ledger.usage("nobody", 0, 1)) == (None, None)
        with pytest.raises(UnauthenticatedError):
            await ledger.reserve({"tags": 2}, 60, call())
    assert found == account(database)
    assert found.balance == 98
    assert used
    assert (used[0].task, used[0].pictures, used[0].credits) == ("tags", 1, 2)


async def test_a_ledger_that_cannot_be_opened_or_read_is_said(tmp_path: Path, database: Database) -> None:
    with pytest.raises(LedgerError, match="cannot be opened"):
        async with opened(str(tmp_path / "nonexistent" / "ledger.db"), Metrics()):
            pass
    async with opened(database.where, Metrics()) as ledger:
        with database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE accounts RENAME TO lost")
        with pytest.raises(LedgerUnavailableError):
            await ledger.account("library")
