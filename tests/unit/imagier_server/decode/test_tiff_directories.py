# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct

import numpy as np
import pytest
from imagier_server.decode.tiff_directories import TiffFile
from support.made_tiff import BITS, HEIGHT, MAKE, OFFSETS, SUBFILE, WIDTH, Page, tiff

ORDERS = pytest.mark.parametrize("order", ["<", ">"])
BIG = pytest.mark.parametrize("big", [False, True], ids=["classic", "big"])


def page(width: int, **options: object) -> Page:
    return Page(np.zeros((4, width), np.uint8), **options)  # type: ignore[arg-type]


def widths(file: bytes) -> list[int]:
    return [directory.number(WIDTH) for directory in TiffFile(file).tree()]


@ORDERS
@BIG
def test_the_tree_is_walked_parents_first(order: str, big: bool) -> None:
    pages = [page(1, children=[page(2, children=[page(3)]), page(4)]), page(5)]
    file = tiff(*pages, order=order, big=big)
    assert widths(file) == [1, 2, 4, 3, 5]
    assert [directory.number(WIDTH) for directory in TiffFile(file).chain()] == [1, 5]


@ORDERS
@BIG
def test_any_directory_becomes_the_first(order: str, big: bool) -> None:
    file = TiffFile(tiff(page(1), page(2), page(3), order=order, big=big))
    last = [*file.chain()][-1]
    again = TiffFile(file.beginning_at(last))
    assert [directory.number(WIDTH) for directory in again.chain()] == [3]


@ORDERS
@BIG
def test_a_directory_is_rewritten_as_a_classic_file(order: str, big: bool) -> None:
    many = Page(np.arange(64, dtype=np.uint8).reshape(16, 4), rows=2, tags={MAKE: b"a name of more than eight bytes\0"})
    file = TiffFile(tiff(page(1), many, order=order, big=big))
    directory = [*file.chain()][-1]
    again = TiffFile(file.rewritten(directory, {SUBFILE: [7], BITS: [8, 9, 10], HEIGHT: []}, b"more"))
    (only,) = again.chain()
    assert (again.big, again.order) == (False, order)
    assert (only.number(WIDTH), only.number(SUBFILE), only.numbers(BITS), HEIGHT in only) == (4, 7, (8, 9, 10), False)
    assert only.numbers(OFFSETS) == directory.numbers(OFFSETS)
    assert only.text(MAKE) == directory.text(MAKE)
    assert again.image[len(file.image) :].startswith(b"more")


def test_a_chain_that_bites_its_tail_and_a_directory_that_is_its_own_child_end() -> None:
    file = bytearray(tiff(page(1), page(2, children=[page(3)])))
    (first,) = struct.unpack_from("<I", file, 4)
    entries = struct.unpack_from("<H", file, first)[0]
    (second,) = struct.unpack_from("<I", file, first + 2 + 12 * entries)
    struct.pack_into("<I", file, second + 2 + 12 * struct.unpack_from("<H", file, second)[0], first)
    assert widths(bytes(file)) == [1, 2, 3]
    child = file.index(struct.pack("<HHI", 330, 4, 1)) + 8
    struct.pack_into("<I", file, child, second)
    assert widths(bytes(file)) == [1, 2]


@BIG
def test_what_lies_outside_of_the_file_is_left_out(big: bool) -> None:
    file = tiff(page(1), big=big)
    for length in range(len(file)):
        for directory in TiffFile(file[:length]).tree() if length >= 16 else ():
            assert directory.number(WIDTH) in {0, 1}
            assert all(len(directory.text(tag)) <= 64 for tag in directory.entries)
    with pytest.raises(ValueError, match="header"):
        TiffFile(file[:15])


@ORDERS
def test_a_directory_of_too_many_entries_is_none(order: str) -> None:
    file = struct.pack(f"{order}2sHIH", b"II" if order == "<" else b"MM", 42, 8, 60_000) + bytes(12 * 60_000 + 4)
    assert [*TiffFile(file).chain()] == []
