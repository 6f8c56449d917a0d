# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from imagier_server.ledger import database, keys, tickets
from imagier_server.ledger.database import Database
from imagier_server.ledger.tickets import Opened

MIGRATIONS = Path(database.__file__).parent / "migrations"
KEY = "INSERT INTO keys (id, tenant, digest, scopes, created) VALUES ('k1', 'library', x'00', 'tasks', 1)"


def test_a_ledger_with_keys_gets_tickets_and_its_keys_allow_no_callbacks(tmp_path: Path) -> None:
    with closing(Database(str(tmp_path / "ledger.db"))) as made:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with made.writing() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
            connection.exec_driver_sql("INSERT INTO accounts VALUES ('library', 0, 0, false, 1)")
            connection.exec_driver_sql(KEY)
        made.migrate()
        with made.writing() as connection:
            assert keys.find(connection, "k1").identity.callbacks == ()
            tickets.open_ticket(connection, Opened("t1", "k1", "g1"), 1)
            assert tickets.look(connection, "k1", ["t1"], 1) == ([], {"t1"})
