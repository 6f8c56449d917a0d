# SPDX-License-Identifier: Apache-2.0
"""Detects the zeros that an interrupted copy leaves in a file, which some codecs decode as pixels."""

from __future__ import annotations

from imagier_server.decode.refusals import RefusedError

_HOLE = bytes(1024)
"""Encoders of VP8, AV1 and HEVC write fewer than 30 even for blank pages; disks lose whole blocks."""
HOLE = "the file has a hole in its pixels, nothing but zeros: it was not copied whole; copy it again"


def has(image: bytes, begin: int, end: int) -> bool:
    """Whether there is a run of that many zeros from `begin` to `end`."""
    return image.find(_HOLE, begin, end) >= 0


def check(image: bytes, begin: int, end: int) -> None:
    """Raise `RefusedError` if the coded pixels from `begin` to `end` have a hole."""
    if has(image, begin, end):
        raise RefusedError(HOLE)
