# SPDX-License-Identifier: Apache-2.0
"""The first field of a form is known before the rest is there, and nothing of the form is lost."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import pytest
from imagier_server.transport.http.bodies import FIELD_BYTES
from imagier_server.transport.http.immich.arriving import begin
from support.native_immich import BOUNDARY, MULTIPART, OCR, blob, field, form

ENTRIES = '{"ocr":{}}'
BY_HAND = f"--x\r\nContent-Disposition: form-data; name=entries\r\n\r\n{ENTRIES}\r\n--x--\r\n".encode()


async def pieces(body: bytes, size: int) -> AsyncGenerator[bytes, None]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


async def begun(body: bytes, size: int = 1 << 20, kind: str = MULTIPART["content-type"]) -> tuple[str | None, bytes]:
    arriving = await begin(pieces(body, size), kind)
    return arriving.entries, b"".join([chunk async for chunk in arriving.chunks])


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
async def test_entries_first_in_pieces_of_any_size(size: int) -> None:
    body = field("entries", ENTRIES) + blob(b"\r\n--picture" * 10) + f"--{BOUNDARY}--\r\n".encode()
    assert await begun(body, size) == (ENTRIES, body)


async def test_a_form_by_hand() -> None:
    assert await begun(BY_HAND, kind="multipart/form-data; boundary=x") == (ENTRIES, BY_HAND)
    assert await begun(BY_HAND, kind='multipart/form-data; boundary="x"') == (ENTRIES, BY_HAND)


OTHERS: Sequence[bytes] = (
    b"",
    blob(b"x") + field("entries", ENTRIES),
    field("text", "a cat"),
    field("entries", ENTRIES),  # the end is missing
    b"preamble\r\n" + form(OCR, b"x"),
    form(OCR, b"x").replace(b'name="entries"', b'name="entries"; filename="e"'),
    field("entries", "x" * FIELD_BYTES) + blob(b""),
    b"x" * 1_000_000,
)


@pytest.mark.parametrize("body", OTHERS, ids=range(len(OTHERS)))
async def test_what_begins_otherwise_is_for_the_parser(body: bytes) -> None:
    entries, all_of_it = await begun(body, 64)
    assert (entries is None or len(entries) >= FIELD_BYTES, all_of_it) == (True, body)


async def test_without_a_boundary() -> None:
    body = form(OCR, b"x")
    assert await begun(body, kind="image/jpeg") == (None, body)
