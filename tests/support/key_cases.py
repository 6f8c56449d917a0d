# SPDX-License-Identifier: Apache-2.0
"""Tests of the ledger's keys, for any database: collected as `ledger_cases` is."""

from __future__ import annotations

import pytest
from imagier_server.call import KeyLimits
from imagier_server.ledger import keys
from imagier_server.ledger.database import Database, LedgerError
from imagier_server.ledger.keys import Wish
from imagier_server.ledger.schema import metadata

from support.ledger_cases import account


def test_a_key_is_found_by_its_id_and_known_by_its_digest(database: Database) -> None:
    with database.writing() as connection:
        made, secret = keys.create(connection, Wish("library", ("tags", "ocr"), allowance=25))
        found = keys.find(connection, made.identity.key_id)
    assert found == made
    assert keys.parse(secret) == found.identity.key_id
    assert found.digest == keys.digest(secret)
    assert found.identity.scopes == {"tags", "ocr"}
    assert account(database).balance == 25
    with database.reading() as connection:
        everything = " ".join(
            str(row) for table in metadata.sorted_tables for row in connection.execute(table.select())
        )
    assert secret.rpartition("_")[2] not in everything, "the ledger never holds a key"


def test_a_revoked_key_stays_revoked_and_a_rotated_one_lives_a_little_longer(database: Database) -> None:
    with database.writing() as connection:
        old, _ = keys.create(connection, Wish("library", ("tags",), allowance=25))
        before = keys.changes(connection)
        new, secret = keys.rotate(connection, old.identity.key_id, grace=3600)
        assert keys.changes(connection) > before, "gateways must see it"
        old = keys.find(connection, old.identity.key_id)
        assert old.expires is not None
        assert old.valid(old.expires - 1)
        assert not old.valid(old.expires)
        assert (new.identity.scopes, new.expires) == ({"tags"}, None)
        assert keys.parse(secret) == new.identity.key_id
        keys.revoke(connection, new.identity.key_id)
        revoked = keys.find(connection, new.identity.key_id)
        assert not revoked.valid(0)
        keys.revoke(connection, new.identity.key_id)
        assert keys.find(connection, new.identity.key_id) == revoked, "when it was revoked does not change"
        with pytest.raises(LedgerError, match="expired or revoked"):
            keys.rotate(connection, new.identity.key_id)
        assert [key.identity.key_id for key in keys.listed(connection, accepted_at=0)] == [old.identity.key_id]
        assert len(keys.listed(connection, "library")) == 2
        assert keys.listed(connection, "nobody") == []
    assert account(database).balance == 25, "rotating grants nothing"


@pytest.mark.parametrize(
    "wish",
    [
        Wish(""),
        Wish("two words"),
        Wish("x" * 64),
        Wish("library", ()),
        Wish("library", ("Tags!",)),
        Wish("library", allowance=-1),
        Wish("library", certificate=" "),
        Wish("library", limits=KeyLimits(pictures="a few")),
        Wish("library", limits=KeyLimits(pictures="-5 per hour")),
        Wish("library", limits=KeyLimits(in_flight=0)),
    ],
)
def test_a_key_with_a_wrong_wish_is_not_made(database: Database, wish: Wish) -> None:
    with pytest.raises(LedgerError), database.writing() as connection:
        keys.create(connection, wish)
    with database.reading() as connection:
        assert keys.listed(connection) == []


def test_a_certificate_stands_for_one_key(database: Database) -> None:
    with database.writing() as connection:
        made, secret = keys.create(connection, Wish("library", certificate="gateway.example"))
        assert (made.digest, secret) == (None, "")
        with pytest.raises(LedgerError, match="another key"):
            keys.create(connection, Wish("archive", certificate="gateway.example"))
