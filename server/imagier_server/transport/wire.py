# SPDX-License-Identifier: Apache-2.0
"""Counts a message's bytes besides the picture before it is parsed: millions of short strings take much more memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

MAX_FIELDS = 1024
"""Maximum fields of one message, without those of its parts."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """The bytes are not a protobuf message, or one with too many fields."""


def beside(message: bytes, path: Sequence[int], most: int) -> int:
    """Count the bytes outside the largest field at a path of field numbers; all of them if the path is empty.

    A message of at most `most` bytes is not parsed. Raises `WireError`; the content of fields is not checked.
    """
    if not path or len(message) <= most:
        return len(message)
    return len(message) - _largest(memoryview(message), path, most)


def _largest(message: memoryview, path: Sequence[int], most: int) -> int:
    largest = 0
    for number, field in fields(message):
        if number == path[0]:
            size = _largest(field, path[1:], most) if path[1:] and len(field) > most else len(field)
            largest = max(largest, size)
    return largest


def text(message: bytes, path: Sequence[int]) -> str:
    """Read the first string at a path of field numbers without parsing the rest; empty if there is none. Raises `WireError`."""
    inside = memoryview(message)
    for wanted in path:
        inside = next((field for number, field in fields(inside) if number == wanted), memoryview(b""))
    try:
        return str(inside, "utf-8")
    except UnicodeDecodeError as error:
        raise WireError("no text") from error


def fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and content of each length-delimited field, skipping others. Raises `WireError`."""
    place, end = 0, len(message)
    for _ in range(MAX_FIELDS):
        if place == end:
            return
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == _BYTES:
            size, place = _varint(message, place)
            if size > end - place:
                raise WireError("truncated")
            yield tag >> 3, message[place : place + size]
            place += size
        elif kind == _VARINT:
            _, place = _varint(message, place)
        elif kind in {_FIXED64, _FIXED32}:
            place += 8 if kind == _FIXED64 else 4
            if place > end:
                raise WireError("truncated")
        else:
            raise WireError("a group, which none of our messages has")
    if place < end:
        raise WireError("too many fields")


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Read a varint: its value and its end."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise WireError("truncated")
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise WireError("a number of more than ten bytes")
