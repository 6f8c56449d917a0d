# SPDX-License-Identifier: Apache-2.0
"""Reads and writes the directories of a TIFF file (TIFF 6.0, BigTIFF), of which each describes one picture. Decodes no pixels."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

SUB_DIRECTORIES = 330  # Adobe's TIFF Technical Note 1
_WHOLE = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""Unsigned integer types, as `struct` codes."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_NARROWER = {16: 4, 17: 9, 18: 13}
"""Replacements of 8-byte types in a classic TIFF."""
_MOST_ENTRIES = 4096
_MOST_DIRECTORIES = 1024
"""Directories read in one file; of a fax of thousands of pages only the first is needed."""


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: int
    count: int
    at: int
    """Offset of its value."""


@dataclass(frozen=True)
class Directory:
    """One of a file's pictures."""

    file: TiffFile
    at: int
    after: int
    """Offset of the next directory in the chain; 0 for none."""
    entries: Mapping[int, _Entry]

    def __contains__(self, tag: int) -> bool:
        return tag in self.entries

    def count(self, tag: int) -> int:
        """Number of values of a tag; 0 if it is missing."""
        return self.entries[tag].count if tag in self.entries else 0

    def numbers(self, tag: int, most: int = 16) -> tuple[int, ...]:
        """First values of a tag; none if it is missing or not of integers."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in _WHOLE:
            return ()
        form = f"{self.file.order}{min(entry.count, most)}{_WHOLE[entry.kind]}"
        return struct.unpack_from(form, self.file.image, entry.at)

    def number(self, tag: int, default: int = 0) -> int:
        """First value of a tag."""
        return next(iter(self.numbers(tag, 1)), default)

    def text(self, tag: int) -> bytes:
        """At most 64 raw bytes of a tag."""
        entry = self.entries.get(tag)
        return self.file.image[entry.at : entry.at + min(entry.count, 64)] if entry else b""

    def children(self) -> Iterator[Directory]:
        """The directories in its SubIFDs."""
        for at in self.numbers(SUB_DIRECTORIES):
            if child := self.file.directory(at):
                yield child


class TiffFile:
    """A TIFF file, opened by its header. Raises ValueError if it has none."""

    def __init__(self, image: bytes) -> None:
        self.image = image
        self.order = {b"II": "<", b"MM": ">"}.get(image[:2], "")
        self.big = image[2:4] in {b"+\0", b"\0+"}
        if not self.order or len(image) < 16:
            raise ValueError("no header of a TIFF file")
        (self.first,) = struct.unpack_from(
            f"{self.order}Q" if self.big else f"{self.order}I", image, 8 if self.big else 4
        )

    def directory(self, at: int) -> Directory | None:
        """Read the directory at an offset, without values outside the file; `None` if it is outside itself."""
        head, item, pointer = ("Q", "HHQQ", "Q") if self.big else ("H", "HHII", "I")
        inside = struct.calcsize(pointer)
        try:
            (count,) = struct.unpack_from(self.order + head, self.image, at)
            start, size = at + struct.calcsize(head), struct.calcsize("=" + item)
            if count > _MOST_ENTRIES:
                return None
            entries: dict[int, _Entry] = {}
            for place in range(start, start + count * size, size):
                tag, kind, number, value = struct.unpack_from(self.order + item, self.image, place)
                length = number * _SIZES.get(kind, 0)
                where = place + size - inside if length <= inside else value
                if length and where + length <= len(self.image):
                    entries.setdefault(tag, _Entry(kind, number, where))
            (after,) = struct.unpack_from(self.order + pointer, self.image, start + count * size)
        except (struct.error, OverflowError):
            return None
        return Directory(self, at, after, entries)

    def chain(self) -> Iterator[Directory]:
        """Yield the chain's directories, each once, because a chain may be circular."""
        seen: set[int] = set()
        at = self.first
        while at and at not in seen and len(seen) < _MOST_DIRECTORIES and (directory := self.directory(at)):
            seen.add(at)
            yield directory
            at = directory.after

    def tree(self) -> Iterator[Directory]:
        """Yield the chain's directories, each followed by its SubIFDs, recursively."""
        seen: set[int] = set()
        for page in self.chain():
            rest = [page]
            while rest and len(seen) < _MOST_DIRECTORIES:
                directory = rest.pop(0)
                if directory.at not in seen:
                    seen.add(directory.at)
                    yield directory
                    rest += directory.children()

    def beginning_at(self, directory: Directory) -> bytes:
        """Return the file with this directory as its first."""
        if directory.at == self.first:
            return self.image
        at, form = (8, "Q") if self.big else (4, "I")
        return self.image[:at] + struct.pack(self.order + form, directory.at) + self.image[at + struct.calcsize(form) :]

    def rewritten(self, directory: Directory, changes: Mapping[int, Sequence[int]], more: bytes = b"") -> bytes:
        """Return a classic TIFF of this directory alone with some tags changed: to numbers, or removed if empty.

        `more` is appended to the file. 8-byte tags become 4-byte ones, which suffice for any admitted file.
        """
        body = bytearray(self.image + more + bytes(len(self.image + more) % 2))
        entries = []
        for tag in sorted({*directory.entries, *changes}):
            if tag in changes:
                kind, values, data = 4, changes[tag], b""
                packed = struct.pack(f"{self.order}{len(values)}I", *values)
                count = len(values)
            else:
                kind, count, at = directory.entries[tag].kind, directory.entries[tag].count, directory.entries[tag].at
                data = self.image[at : at + count * _SIZES[kind]]
                if kind in _NARROWER:
                    numbers = struct.unpack(f"{self.order}{count}Q", data)
                    data = struct.pack(f"{self.order}{count}I", *(min(number, 2**32 - 1) for number in numbers))
                    kind = _NARROWER[kind]
                packed = data
            if not count:
                continue
            if len(packed) > 4:
                packed, at = struct.pack(f"{self.order}I", len(body)), len(body)
                body += data or struct.pack(f"{self.order}{count}I", *changes[tag])
                body += bytes(len(body) % 2)
            entries.append(struct.pack(f"{self.order}HHI", tag, kind, count) + packed.ljust(4, b"\0"))
        body[2:8] = struct.pack(f"{self.order}HI", 42, len(body))
        return bytes(body) + struct.pack(f"{self.order}H", len(entries)) + b"".join(entries) + bytes(4)
