# SPDX-License-Identifier: Apache-2.0
"""Looks at `entries` while the picture behind them is still arriving: Immich sends them first."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header

from imagier_server.transport.http.bodies import FIELD_BYTES
from imagier_server.transport.http.immich.entries import FIELD

_HEAD = re.compile(rb'content-disposition: *form-data; *name="?' + FIELD.encode() + rb'"?', re.IGNORECASE)
_BLANK = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Arriving:
    """A form. `entries` is None if it does not begin with them; `chunks` is all of it, as it comes."""

    entries: str | None
    chunks: AsyncGenerator[bytes, None]


async def begin(chunks: AsyncGenerator[bytes, None], content_type: str) -> Arriving:
    """Read a form up to the end of its first field."""
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    begin = b""
    async for chunk in chunks:
        begin += chunk
        if begin.count(b"--" + boundary, 0, 2 * FIELD_BYTES) > 1 or len(begin) > FIELD_BYTES:
            break
    return Arriving(_entries(begin, boundary), _all(begin, chunks))


async def _all(begin: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    yield begin
    async for chunk in rest:
        yield chunk


def _entries(begin: bytes, boundary: bytes) -> str | None:
    """The value of the first field, if it is that one and has no other header."""
    opening = b"--" + boundary + b"\r\n"
    head, blank, value = begin.removeprefix(opening).partition(_BLANK)
    value, closing, _ = value.partition(b"\r\n--" + boundary)
    if not (boundary and begin.startswith(opening) and blank and closing and _HEAD.fullmatch(head)):
        return None
    return value.decode("utf-8", "replace")
