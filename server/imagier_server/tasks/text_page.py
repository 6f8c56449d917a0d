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
"""The detector's heights and widths: few, so that a graph's memory is laid out once for each; multiples of its stride of 32."""

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
    page = _resize(pixels, reading_scale(width, height))
    height, width = page.shape[:2]
    seen = _resize(page, min(max(1.0, MIN_SIDE / min(width, height)), CANVAS_SIDES[-1] / max(width, height)))
    seen_height, seen_width = seen.shape[:2]
    canvas = np.full((_canvas_side(seen_height), _canvas_side(seen_width), 3), PADDING, np.uint8)
    canvas[:seen_height, :seen_width] = seen
    return Page(page, canvas, (seen_width / width, seen_height / height))


def _resize(pixels: Pixels, scale: float) -> Pixels:
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _canvas_side(side: int) -> int:
    return next(canvas for canvas in CANVAS_SIDES if canvas >= side)
