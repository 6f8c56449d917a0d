# SPDX-License-Identifier: Apache-2.0
"""Limits the blocks before the first picture of a GIF, which Pillow reads in Python."""

from __future__ import annotations

from imagier_server.decode.refusals import Caps, TooLargeError

_HEADER = 13
_EXTENSION, _PICTURE, _END = 0x21, 0x2C, 0x3B
MOST_BLOCKS = 1 << 16
"""Sixteen megabytes of comments, where they are whole."""


def judge(image: bytes, caps: Caps) -> bytes:
    """The file that Pillow is to open. Raises `TooLargeError`."""
    del caps
    flags = image[10] if len(image) > 10 else 0
    at = _HEADER + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    inside = False  # of an extension, whose blocks begin with their length and end with an empty one
    for _ in range(MOST_BLOCKS):
        if at >= len(image) or (not inside and image[at] in {_PICTURE, _END}):
            return image
        if inside:
            inside, at = image[at] > 0, at + 1 + image[at]
        else:
            inside, at = image[at] == _EXTENSION, at + (2 if image[at] == _EXTENSION else 1)
    raise TooLargeError("the GIF file has too many blocks before its first picture")
