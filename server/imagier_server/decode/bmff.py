# SPDX-License-Identifier: Apache-2.0
"""Reads the metadata of the primary picture of an AVIF or HEIC file (ISO/IEC 14496-12, ISO/IEC 23008-12). Decodes no pixels."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_MOST_BOXES = 4096
"""Limit for one box: a grid of a thousand tiles has some hundred properties."""
_CODED = frozenset({b"hvc1", b"av01"})


def primary_properties(image: bytes) -> list[tuple[bytes, bytes]]:
    """Return (type, content) of each property of the primary item, in order of application; none if the file is malformed."""
    try:
        return _primary_properties(image)
    except (struct.error, KeyError, IndexError, ValueError):
        return []


def _primary_properties(image: bytes) -> list[tuple[bytes, bytes]]:
    meta = dict(_boxes(dict(_boxes(image))[b"meta"][4:]))
    wanted = int.from_bytes(meta[b"pitm"][4:])
    described = list(_boxes(meta[b"iprp"]))
    (container,) = (content for kind, content in described if kind == b"ipco")
    properties = list(_boxes(container))
    return [
        properties[number - 1]
        for associations in (content for kind, content in described if kind == b"ipma")
        for number in _associated(associations, wanted)
        if 0 < number <= len(properties)
    ]


def coded_extents(image: bytes) -> list[tuple[int, int]]:
    """Return the (begin, end) ranges of coded pixels outside the metadata; none if the file is malformed."""
    try:
        meta = dict(_boxes(dict(_boxes(image))[b"meta"][4:]))
        items = meta[b"iinf"][6 if meta[b"iinf"][0] == 0 else 8 :]
        entries = [content for kind, content in _boxes(items) if kind == b"infe" and content[0] in {2, 3}]
        wide = [2 if content[0] == 2 else 4 for content in entries]
        kinds = {
            int.from_bytes(content[4 : 4 + size]): content[6 + size : 10 + size]
            for content, size in zip(entries, wide, strict=True)
        }
        return [extent for item, extent in _located(meta[b"iloc"]) if kinds.get(item) in _CODED]
    except (struct.error, KeyError, IndexError, ValueError):
        return []


def _located(content: bytes) -> Iterator[tuple[int, tuple[int, int]]]:
    """(item, (begin, end)) of each piece of an item that an ItemLocationBox places in the file."""
    version = content[0]
    sizes = [content[4] >> 4, content[4] & 15, content[5] >> 4, content[5] & 15 if version else 0]
    offset_size, length_size, base_size, index_size = sizes
    at, wide = 6, 2 if version < 2 else 4

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > len(content):
            raise ValueError("truncated")
        return int.from_bytes(content[at - size : at])

    for _ in range(min(number(wide), _MOST_BOXES)):
        item = number(wide)
        method = number(2) & 15 if version else 0
        number(2)  # in this file
        base = number(base_size)
        for _ in range(min(number(2), _MOST_BOXES)):
            number(index_size)
            begin = base + number(offset_size)
            length = number(length_size)
            if method == 0:
                yield item, (begin, begin + length)


def _associated(content: bytes, wanted: int) -> Iterator[int]:
    """Return the property indexes that an ItemPropertyAssociationBox gives to an item."""
    version, wide = content[0], content[3] & 1
    (items,) = struct.unpack_from("!I", content, 4)
    at = 8
    for _ in range(items):
        item, count = struct.unpack_from("!IB" if version else "!HB", content, at)
        at += 5 if version else 3
        if item == wanted:
            # The top bit marks a property that a reader must know.
            numbers = struct.unpack_from(f"!{count}{'H' if wide else 'B'}", content, at)
            yield from (number & (0x7FFF if wide else 0x7F) for number in numbers)
        at += count * (1 + wide)


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (type, content) of consecutive boxes until one is malformed."""
    at = 0
    for _ in range(_MOST_BOXES):
        if at + 8 > len(content):
            return
        size, kind = struct.unpack_from("!I4s", content, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from("!Q", content, at + 8)
            head = 16
        if size == 0:
            size = len(content) - at
        if size < head:
            return
        yield kind, content[at + head : at + size]
        at += size
