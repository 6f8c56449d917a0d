# SPDX-License-Identifier: Apache-2.0
"""Reads JSON that holds pictures, without parsing the pictures: fast, and what is parsed has a bound.

A JSON parser copies a picture's base64 several times, and takes gigabytes for megabytes of `{},{},`. So long strings are cut out
first, what remains must be small, and a picture is decoded straight from the body.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Sequence
from typing import Any

from imagier_server.errors import InvalidImageError, MalformedRequestError, WordyRequestError
from imagier_server.transport.parsing import WORDS_BYTES

_LONG = 64 * 1024
"""Strings from this length on are pictures."""

_MARK = "\x00picture "
"""Begins what stands for a string that was cut out. If a string of the body begins so, it names another picture of that body."""
_DATA_URL = re.compile(rb"data:[\w.+/-]*(?:;[\w.+=-]+)*;base64,", re.IGNORECASE)
_DATA = b"data:"
_URL_HEAD = 256  # bytes of a data: URL before its data
_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")
"""The escape of half a character. JSON allows it alone, UTF-8 and protobuf do not."""
_SPACE = re.compile(rb"\s+")


class Document:
    """A JSON value, in which a mark stands for each long string."""

    def __init__(self, value: Any, long: Sequence[memoryview]) -> None:
        self.value = value
        self._long = long
        self._unread = set(range(len(long)))

    def picture(self, text: object, field: str = "image") -> bytes:
        """The picture file in a string of the value: a data: URL with base64, or base64. Raises `InvalidImageError`."""
        if not isinstance(text, str):
            raise InvalidImageError(f"{field} must be a string: the picture file in base64", field)
        encoded = self._bytes(text, field)
        if encoded[:5].lower() == _DATA:
            found = _DATA_URL.match(encoded[:_URL_HEAD])
            if not found:
                raise _no_picture(field)
            encoded = encoded[found.end() :]
        return _decoded(encoded, field)

    def check_read(self) -> None:
        """Raises `WordyRequestError` if there are long strings besides the pictures."""
        if self._unread:
            raise _wordy()

    def _bytes(self, text: str, field: str) -> bytes:
        number = text.removeprefix(_MARK)
        if number == text or not number.isdecimal() or int(number) >= len(self._long):
            return text.encode("utf-8", "replace")
        self._unread.discard(int(number))
        encoded = bytes(self._long[int(number)])
        if b"\\" in encoded:  # PHP writes \/, others line breaks
            try:
                return str(json.loads(b'"%b"' % encoded)).encode("utf-8", "replace")
            except ValueError:
                raise _no_picture(field) from None
        return encoded


def parse(body: bytes) -> Document:
    """The document in a body of UTF-8. Raises `MalformedRequestError`, `WordyRequestError` if it is large besides the pictures."""
    small, long = _cut(body)
    try:
        value = json.loads(str(small, "utf-8"))
        if _HALF_CHARACTER.search(small):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        return Document(value, long)
    except (ValueError, RecursionError):
        raise MalformedRequestError("the body is not JSON in UTF-8") from None


def _cut(body: bytes) -> tuple[bytes, list[memoryview]]:
    """Replace each long string by its mark."""
    pieces: list[bytes] = []
    long: list[memoryview] = []
    words = place = 0
    inside = whole = False
    while (quote := body.find(b'"', place)) >= 0:
        escaped = inside and bool(_backslashes(body, place, quote) % 2)
        if whole and not escaped and quote - place >= _LONG:
            pieces.append(json.dumps(f"{_MARK}{len(long)}").encode()[1:-1])
            long.append(memoryview(body)[place:quote])
        else:
            words += quote - place + 1
            if words > WORDS_BYTES:
                raise _wordy()
            pieces.append(body[place:quote])
        pieces.append(b'"')
        inside = inside if escaped else not inside
        whole = inside and not escaped
        place = quote + 1
    if words + len(body) - place > WORDS_BYTES:
        raise _wordy()
    return b"".join([*pieces, body[place:]]), long


def _wordy() -> WordyRequestError:
    return WordyRequestError(
        f"everything but the picture takes more than {WORDS_BYTES} bytes: send fewer words, and the picture in base64"
    )


def _backslashes(body: bytes, start: int, end: int) -> int:
    """Count the backslashes just before `end`."""
    count = 0
    while end - count > start and body[end - count - 1] == 0x5C:
        count += 1
    return count


def _decoded(encoded: bytes, field: str) -> bytes:
    """Decode base64 with either alphabet, with or without padding and line breaks."""
    try:
        return binascii.a2b_base64(encoded, strict_mode=True)
    except binascii.Error:
        pass
    plain = _SPACE.sub(b"", encoded).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return binascii.a2b_base64(plain + b"=" * (-len(plain) % 4), strict_mode=True)
    except binascii.Error:
        raise _no_picture(field) from None


def _no_picture(field: str) -> InvalidImageError:
    return InvalidImageError(f"{field} must be the picture file in base64, or a data: URL with ;base64", field)
