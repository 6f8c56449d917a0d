# SPDX-License-Identifier: Apache-2.0
"""`imagier keys` and `imagier credits` on a ledger in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from imagier_client.cli import main
from imagier_server.call import KeyLimits
from imagier_server.ledger import keys
from imagier_server.ledger.database import Database
from support.ledger_cases import account, ask, reserve, settle

Run = Callable[..., str]


@pytest.fixture
def where(tmp_path: Path) -> str:
    return str(tmp_path / "ledger.db")


@pytest.fixture
def run(where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command on the ledger; returns what it prints."""
    monkeypatch.setenv("IMAGIER_LEDGER", where)

    def run(*arguments: str, status: int = 0) -> str:
        assert main(arguments) == status
        captured = capsys.readouterr()
        return captured.err if status else captured.out

    return run


def test_the_life_of_a_key(run: Run, where: str) -> None:
    limits = ("--pictures", "500 per 4 hours", "--in-flight", "8", "--in-flight-bytes", "1000000")
    secret = run("keys", "create", "library", "--scope", "tags", "--expires", "2100-01-31", *limits).strip()
    key_id = keys.parse(secret)
    assert key_id
    with closing(Database(where)) as database, database.reading() as connection:
        key = keys.find(connection, key_id)
    assert key.digest == keys.digest(secret)
    assert key.identity.limits == KeyLimits("500 per 4 hours", 8, 1_000_000)
    listed = run("keys", "list")
    assert key_id in listed
    assert "valid until 2100-01-31 00:00" in listed
    assert "pictures: 500 per 4 hours" in listed
    assert secret not in listed
    assert run("keys", "list", "--tenant", "another") == ""
    new = run("keys", "rotate", key_id, "--hours", "0").strip()
    assert keys.parse(new) not in {None, key_id}
    assert "expired" in run("keys", "list")
    run("keys", "revoke", str(keys.parse(new)))
    assert "revoked" in run("keys", "list")
    assert run("keys", "create", "library", "--certificate", "gateway.example").strip().isalnum()
    assert "certificate: gateway.example" in run("keys", "list")


def test_a_scope_that_no_task_has_is_said(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("keys", "create", "library", "--ledger", where, "--scope", "tags", "--scope", "tag")) == 0
    said = capsys.readouterr()
    assert keys.parse(said.out.strip()), "made all the same: another gateway may have such a task"
    assert said.err == "imagier keys: no task here has the name of this scope: tag\n"
    assert main(("keys", "create", "library", "--ledger", where, "--scope", "tags", "--scope", "admin")) == 0
    assert capsys.readouterr().err == ""


def test_credits_are_granted_shown_and_checked(run: Run, where: str) -> None:
    run("keys", "create", "library", "--allowance", "5")
    assert run("credits", "grant", "library", "10", "--reference", "invoice 17") == "library: 15 credits\n"
    assert "before" in run("credits", "grant", "library", "10", "--reference", "invoice 17")
    assert run("credits", "grant", "library", "--", "-2") == "library: 13 credits\n"
    with closing(Database(where)) as database:
        (reservation,) = reserve(database, ask(tags=2, ocr=1))
        settle(database, (reservation, {"tags": 2}))
        reserve(database, ask(tags=4))
        assert account(database).available == 7
    assert run("credits", "show", "library").split() == ["library", "11", "reserved", "4"]
    used = run("credits", "usage", "library").split()
    assert used[1:] == ["tags", "1", "pictures", "2", "credits"]
    run("credits", "postpaid", "library")
    assert run("credits", "show").endswith("pays later\n")
    run("credits", "postpaid", "library", "--off")
    assert run("credits", "verify") == ""
    with closing(sqlite3.connect(where)) as connection:
        connection.execute("UPDATE accounts SET balance = balance + 1")
        connection.commit()
    assert "library: the balance is 12, and its rows add up to 11" in run("credits", "verify", status=1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("keys", "revoke", "000000000000"), "no key with this id"),
        (("keys", "create", "two words"), "tenant's name"),
        (("keys", "create", "library", "--scope", "NO!"), "scopes"),
        (("keys", "create", "library", "--pictures", "many"), "500 per 4 hours"),
        (("credits", "grant", "nobody", "1"), "no such tenant"),
        (("credits", "show", "nobody"), "no such tenant"),
        (("credits", "usage", "nobody"), "no such tenant"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(run: Run, arguments: tuple[str, ...], says: str) -> None:
    said = run(*arguments, status=1)
    assert says in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "where", ["/nonexistent/ledger.db", "mysql://host/name", "postgresql://127.0.0.1:1/name", "://"]
)
def test_a_ledger_that_cannot_be_opened_is_said_in_one_line(run: Run) -> None:
    said = run("keys", "list", status=1)
    assert "ledger" in said
    assert said.count("\n") == 1


def test_the_ledger_of_a_newer_version_is_left_alone(run: Run, where: str) -> None:
    run("keys", "list")
    with closing(sqlite3.connect(where)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    assert "newer version" in run("keys", "list", status=1)
