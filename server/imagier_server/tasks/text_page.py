# SPDX-License-Identifier: Apache-2.0
"""Text, before the detector: a picture becomes the page that lines are cut from and the canvas that the detector sees."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from imagier_server.messages import Pixels

MAX_SIDE = 2000
"""Longer pictures are shrunk to this before reading, unless that would make the short side less than `MIN_SIDE`."""

MIN_SIDE = 736
"""The detector was trained on text of ordinary size; a picture whose short side is less is enlarged for it."""

CANVAS_SIDES = (736, 1024, 1408, 2016)
"""The detector's heights and widths: few, so that requests meet in a batch; multiples of its stride."""

STRIDE = 32
PADDING = 0


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """What is read. `pixels` is the page; the page × `scale` (x, y) lies in the upper left corner of `canvas`."""

    pixels: Pixels
    canvas: Pixels
    scale: tuple[float, float]


def reading_scale(width: int, height: int) -> float:
    """The scale, at most 1, at which a picture of that size in pixels is read."""
    return min(1.0, max(MAX_SIDE / max(width, height), MIN_SIDE / min(width, height)))


def prepare_page(pixels: Pixels) -> Page:
    """`pixels` (height, width, 3) at their reading scale, and on the smallest canvas that holds them."""
    height, width = pixels.shape[:2]
    scale = reading_scale(width, height)
    if scale < 1.0:
        pixels = _resize(pixels, _in_strides(width * scale), _in_strides(height * scale))
        height, width = pixels.shape[:2]
    enlarge = min(max(1.0, MIN_SIDE / min(width, height)), CANVAS_SIDES[-1] / max(width, height))
    seen = _resize(pixels, _in_strides(width * enlarge), _in_strides(height * enlarge))
    seen_height, seen_width = seen.shape[:2]
    canvas = np.full((_canvas_side(seen_height), _canvas_side(seen_width), 3), PADDING, np.uint8)
    canvas[:seen_height, :seen_width] = seen
    return Page(pixels, canvas, (seen_width / width, seen_height / height))


def _resize(pixels: Pixels, width: int, height: int) -> Pixels:
    if pixels.shape[:2] == (height, width):
        return pixels
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def _in_strides(side: float) -> int:
    return max(STRIDE, round(side / STRIDE) * STRIDE)


def _canvas_side(side: int) -> int:
    return next(canvas for canvas in CANVAS_SIDES if canvas >= side)
