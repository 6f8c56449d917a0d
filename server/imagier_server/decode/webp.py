# SPDX-License-Identifier: Apache-2.0
"""Checks a WebP file's size and chunks before Pillow opens it, which allocates the whole canvas."""

from __future__ import annotations

from imagier_server.decode import holes
from imagier_server.decode.refusals import Caps, TooLargeError

MOST_CHUNKS = 1 << 16
_PIXELS = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"})


def announced(image: bytes) -> tuple[int, int] | None:
    """Read (width, height) in pixels from the first chunk (RFC 9649, sections 2.5 to 2.7); `None` if it is unreadable."""
    kind, body = image[12:16], image[20:30]
    if kind == b"VP8X" and len(body) == 10:
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L" and len(body) >= 5:
        sides = int.from_bytes(body[1:5], "little")
        return 1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF)
    if kind == b"VP8 " and len(body) == 10:  # RFC 6386, 9.1: the upper two bits are for scaling
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    return None


def judge(image: bytes, caps: Caps) -> bytes:
    """Return the file for Pillow, without incomplete chunks after the pixels. Raises `RefusedError`."""
    if size := announced(image):
        caps.check(*size)
    at = 12
    for _ in range(MOST_CHUNKS):
        kind, length = image[at : at + 4], int.from_bytes(image[at + 4 : at + 8], "little")
        end = at + 8 + length + length % 2
        if at + 8 > len(image) or (end > len(image) and kind not in _PIXELS):
            break
        if kind in {b"VP8 ", b"VP8L"}:
            holes.check(image, at, end)
        at = end
    else:
        raise TooLargeError(f"the WebP file has more than {MOST_CHUNKS} chunks")
    said = int.from_bytes(image[4:8], "little") + 8
    return image[:4] + (at - 8).to_bytes(4, "little") + image[8:at] if said > len(image) >= at else image
