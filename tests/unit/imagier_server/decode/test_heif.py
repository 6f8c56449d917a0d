# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct

import pytest
from heic import heic
from imagier_server.decode.heif import has_unnamable_items
from made_pictures import quadrants


def item(version: int, said: bytes) -> bytes:
    head = bytes([version, 0, 0, 0]) + bytes({2: 4, 3: 6}[version])
    return struct.pack("!I", 8 + len(head) + len(said)) + b"infe" + head + said


def test_a_picture_has_items_with_names() -> None:
    assert not has_unnamable_items(heic(quadrants()))


@pytest.mark.parametrize("version", [2, 3])
def test_a_type_or_a_name_that_is_no_text(version: int) -> None:
    sound = item(version, "mime\0Größe\0application/rdf+xml\0".encode())
    assert not has_unnamable_items(sound + b"\xff\xff")
    assert has_unnamable_items(sound + item(version, b"Exi\xff\0"))
    assert has_unnamable_items(sound + item(version, b"mime\0\0\xff\0"))


def test_one_that_hides_behind_another() -> None:
    assert has_unnamable_items(b"infe\x02\0\0" + item(2, b"Exi\xff\0"))


def test_a_long_name_may_be_cut_within_a_letter() -> None:
    assert not has_unnamable_items(item(2, b"mime" + "aé".encode() * 1000))
