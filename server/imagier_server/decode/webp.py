# SPDX-License-Identifier: Apache-2.0
"""The size that a WebP file announces: Pillow opens none without room for its whole canvas, and so before any cap could speak."""

from __future__ import annotations


def announced(image: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels, by the first chunk (RFC 9649, sections 2.5 to 2.7). `None` if there is none to read."""
    kind, body = image[12:16], image[20:30]
    if kind == b"VP8X" and len(body) == 10:
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L" and len(body) >= 5:
        sides = int.from_bytes(body[1:5], "little")
        return 1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF)
    if kind == b"VP8 " and len(body) == 10:  # RFC 6386, 9.1: the upper two bits are for scaling
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    return None
