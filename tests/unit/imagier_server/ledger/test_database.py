# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import stat
from contextlib import closing
from pathlib import Path

import pytest
from imagier_server.ledger.database import Database, LedgerError


def test_only_its_owner_can_read_the_file(tmp_path: Path) -> None:
    where = tmp_path / "ledger.db"
    with closing(Database(str(where))) as database:
        database.migrate()
        with database.writing() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o600}


def test_a_reader_sees_one_state_and_keeps_nobody_from_writing(database: Database) -> None:
    with database.reading() as reader:
        before = reader.exec_driver_sql("SELECT number FROM key_changes").scalar_one()
        with database.writing() as writer:
            writer.exec_driver_sql("UPDATE key_changes SET number = number + 1")
        assert reader.exec_driver_sql("SELECT number FROM key_changes").scalar_one() == before


@pytest.mark.parametrize("where", ["mysql://host/name", "nonsense+postgresql://host/name", "http://host:port"])
def test_a_wrong_address_is_refused_without_quoting_it(where: str) -> None:
    with pytest.raises(LedgerError, match="ledger is a path") as caught:
        Database(where)
    assert where not in str(caught.value)
