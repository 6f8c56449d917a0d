# SPDX-License-Identifier: Apache-2.0
"""Refusals and header limits shared by the format modules."""

from __future__ import annotations

from dataclasses import dataclass


class RefusedError(Exception):
    """The picture is refused; the text is a fixed sentence."""


class TooLargeError(RefusedError):
    """The picture exceeds a limit, found in its header before any pixel is decoded."""


@dataclass(frozen=True, slots=True)
class Caps:
    """Limits: pixels, longest side, and a decoder's memory in bytes."""

    pixels: int
    side: int
    memory: int = 2 << 30

    def check(self, width: int, height: int) -> None:
        """Raise `TooLargeError` if a picture of that size exceeds a limit."""
        if max(width, height) > self.side:
            raise TooLargeError(
                f"a side of the picture is longer than max_image_side (IMAGIER_MAX_IMAGE_SIDE): {self.side} pixels"
            )
        if width * height > self.pixels:
            raise TooLargeError(
                f"the picture has more pixels than max_image_pixels (IMAGIER_MAX_IMAGE_PIXELS): {self.pixels}"
            )
