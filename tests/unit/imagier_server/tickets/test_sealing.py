# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from imagier_server.tickets.sealing import Seal

DOCUMENT = b'{"description": "a cat in a hat"}'


def test_only_the_same_key_opens_it_and_only_for_its_ticket() -> None:
    sealed = Seal("img_a_1").close("t1", DOCUMENT)
    assert Seal("img_a_1").open("t1", sealed) == DOCUMENT, "as after a restart"
    assert Seal("img_a_2").open("t1", sealed) is None
    assert Seal("img_a_1").open("t2", sealed) is None
    assert Seal("img_a_1").open("t1", sealed[:-1] + bytes([sealed[-1] ^ 1])) is None
    assert Seal("img_a_1").open("t1", b"") is None


def test_nothing_of_the_document_is_seen_and_no_two_are_alike() -> None:
    seal = Seal("img_a_1")
    one, other = seal.close("t1", DOCUMENT), seal.close("t1", DOCUMENT)
    assert b"cat" not in one
    assert one != other
    assert one[:12] != other[:12]
