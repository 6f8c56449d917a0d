# SPDX-License-Identifier: Apache-2.0
"""Cuts lines out of the page, upright, for the recogniser; lines of one width share a request."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from imagier_server.messages import Pixels

HEIGHT = 48
"""Height of a line in pixels, for both models."""

WIDTHS = (160, 320, 480, 640, 960, 1280, 1920, 2560)
"""Widths of the recogniser's input: few, so that lines share batches."""

ORIENTER_WIDTH = 192

ORIENTER_SEES = 384
"""Columns of a line for the orienter: a long line squeezed as a whole is too narrow to recognise."""

PADDING = 127
"""Mid-grey, which normalises to 0; padding with black or white raised the error rate."""

STRAIGHT = 1.04
"""A box counts as upright if its bounding box is at most this many times as large."""

ORIENTER_ROWS, RECOGNIZER_ROWS = 16, 8
"""Maximum lines per request: the models' `max_batch_size`."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A line of a page, cut out only when needed: all lines together can have many times the page's pixels.

    `number` is its index among the lines found; `corners` (4, x and y) are in the page, clockwise as read from where
    reading begins.
    """

    number: int
    corners: npt.NDArray[np.float32]

    @property
    def width(self) -> int:
        """Width in pixels when scaled to `HEIGHT`."""
        across, down = _sides(self.corners)
        return min(max(math.ceil(HEIGHT * across / down), 1), WIDTHS[-1])


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Lines of one width that share a request."""

    lines: tuple[Line, ...]
    width: int


def cut_line(page: Pixels, line: Line) -> Pixels:
    """Cut `line` out of `page`, (48, its width, 3), along its reading direction."""
    quad, columns = line.corners, line.width
    (width, height) = _sides(quad)
    (left, top), (right, bottom) = quad.min(axis=0).tolist(), quad.max(axis=0).tolist()
    if (right - left) * (bottom - top) < STRAIGHT * width * height:
        # The common case: a resize takes a fifth of the time of a warp.
        part = page[round(top) : round(bottom), round(left) : round(right)]
        across, down = (quad[1] - quad[0]).tolist()
        quarters = (1 if down > 0 else 3) if abs(down) > abs(across) else (2 if across < 0 else 0)
        part = np.ascontiguousarray(np.rot90(part, quarters))
        # Shrunk pixels are means, or thin strokes would vanish between the samples.
        interpolation = cv2.INTER_AREA if height > HEIGHT else cv2.INTER_LINEAR
        pixels = cv2.resize(part, (columns, HEIGHT), interpolation=interpolation)
    else:
        place = quad
        shrink = HEIGHT / height
        if shrink < 0.5:
            # A warp samples instead of averaging, so large letters are shrunk first.
            box = [math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)]
            page = page[box[1] : box[3], box[0] : box[2]]
            size = tuple(max(1, round(side * shrink)) for side in page.shape[1::-1])
            factor = np.array(size) / page.shape[1::-1]
            page = np.asarray(cv2.resize(page, size, interpolation=cv2.INTER_AREA), np.uint8)
            place = ((quad - box[:2]) * factor).astype(np.float32)
        # Corners are on the edges of pixels, OpenCV's grid is on their centres.
        corners = np.array([(0, 0), (columns, 0), (0, HEIGHT)], np.float32)
        transform = cv2.getAffineTransform(corners - 0.5, place[[0, 1, 3]] - 0.5)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        pixels = cv2.warpAffine(page, transform, (columns, HEIGHT), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(pixels, np.uint8)


def _sides(quad: npt.NDArray[np.float32]) -> tuple[float, float]:
    across = np.linalg.norm(quad[[0, 3]] - quad[[1, 2]], axis=1).max()
    down = np.linalg.norm(quad[[0, 1]] - quad[[3, 2]], axis=1).max()
    return float(across), float(down)


def orienter_batches(lines: Sequence[Line]) -> list[Batch]:
    """Batches of lines in their order."""
    return _batches(lines, ORIENTER_WIDTH, ORIENTER_ROWS)


def recognizer_batches(lines: Sequence[Line]) -> list[Batch]:
    """Batches of lines by the recogniser's widths."""
    by_width: dict[int, list[Line]] = {}
    for line in lines:
        by_width.setdefault(WIDTHS[bisect_left(WIDTHS, line.width)], []).append(line)
    return [batch for width, each in sorted(by_width.items()) for batch in _batches(each, width, RECOGNIZER_ROWS)]


def orienter_pixels(page: Pixels, batch: Batch) -> Pixels:
    """Cut the beginnings of lines (lines, 48, 192, 3), squeezed or padded to the orienter's width."""
    beginnings = (cut_line(page, line)[:, :ORIENTER_SEES] for line in batch.lines)
    return _padded(batch, (cv2.resize(each, (min(each.shape[1], ORIENTER_WIDTH), HEIGHT)) for each in beginnings))


def recognizer_pixels(page: Pixels, batch: Batch) -> Pixels:
    """Cut lines and pad them to the batch's width (lines, 48, width, 3)."""
    return _padded(batch, (cut_line(page, line) for line in batch.lines))


def _batches(lines: Sequence[Line], width: int, rows: int) -> list[Batch]:
    return [Batch(tuple(lines[at : at + rows]), width) for at in range(0, len(lines), rows)]


def _padded(batch: Batch, pixels: Iterable[npt.NDArray[np.generic]]) -> Pixels:
    padded = np.full((len(batch.lines), HEIGHT, batch.width, 3), PADDING, np.uint8)
    for row, each in zip(padded, pixels, strict=True):
        row[:, : each.shape[1]] = each
    return padded
