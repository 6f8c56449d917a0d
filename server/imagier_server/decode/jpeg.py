# SPDX-License-Identifier: Apache-2.0
"""How many scans a JPEG file holds: each costs a pass over the whole picture, however few bytes it has."""

from __future__ import annotations

import re
from collections.abc import Iterator

# ITU-T T.81, table B.1. Within a scan, FF 00 is a byte, and D0 to D7 restart it.
_MARKER = re.compile(rb"\xff+([^\x00\x01\xff\xd0-\xd8])")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})


def has_more_scans(image: bytes, most: int) -> bool:
    """Whether the first picture in `image` has more than `most` scans, as far as the file is sound.

    What follows its end (a second picture, a film) is not looked at, nor what its segments hold (a thumbnail).
    """
    components, scans = 0, 0
    for marker, segment in _segments(image):
        if marker in _FRAMES and marker not in _PROGRESSIVE:
            components = segment[5] if len(segment) > 5 else 0
        elif marker == _START_OF_SCAN:
            if not scans and components and segment[:1] == bytes([components]):
                return False  # most photographs: one scan holds all, and a decoder takes no second one
            if not scans and image.count(b"\xff\xda") <= most:
                return False  # nearly all the others, and ten times as fast as the walk
            scans += 1
            if scans > most:
                return True
    return False


def _segments(image: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers that have a segment, and the segment behind its length."""
    at = 0
    while (found := _MARKER.search(image, at)) and found[1][0] != _END_OF_IMAGE:
        start = found.end()
        at = start + max(2, int.from_bytes(image[start : start + 2], "big"))
        yield found[1][0], image[start + 2 : at]
