# SPDX-License-Identifier: Apache-2.0
"""A file that is odd, and its right answer."""

from __future__ import annotations

from dataclasses import dataclass

from support import made_pictures as made

SIZE = (128, 64)
NOT_READ = "INVALID_IMAGE"
TOO_LARGE = "IMAGE_TOO_LARGE"
BROKEN = "truncated|damaged"


@dataclass(frozen=True)
class Case:
    """A file and its right answer: the full size and the colours of its quadrants, or why it is refused and what that says."""

    name: str
    image: bytes
    size: tuple[int, int] = SIZE
    colours: tuple[tuple[int, ...], ...] = made.QUADRANTS
    tolerance: float = 0
    reason: str = ""
    says: str = ""
