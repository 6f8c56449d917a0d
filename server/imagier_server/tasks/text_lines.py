# SPDX-License-Identifier: Apache-2.0
"""Text, before the recogniser: each line is cut out of the page upright, and lines of one width share a request."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from imagier_server.messages import Pixels
from imagier_server.tasks.text_boxes import Quads

HEIGHT = 48
"""Of a line, as both models see it."""

WIDTHS = (160, 320, 480, 640, 960, 1280, 1920, 2560)
"""The recogniser's: few, so that lines meet in a batch."""

ORIENTER_WIDTH = 192

ORIENTER_SEES = 384
"""Of a line, its first columns: squeezed whole into the orienter's width, one line in twenty was called wrongly; so, none."""

PADDING = 127
"""Grey, the graphs' zero: black and white cost more characters."""

STRAIGHT = 1.04
"""A box is straight if the upright box around it is at most this many times as large."""

ORIENTER_ROWS, RECOGNIZER_ROWS = 16, 8
"""Most lines in one request: the `max_batch_size` of each model."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A line cut out of the page.

    `number` is its place among the lines found; `pixels` (48, width, 3) show it along its reading direction; `corners` (4, x and y)
    are in the page, from where reading begins, clockwise as read.
    """

    number: int
    pixels: Pixels
    corners: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some lines (by index) in one tensor: `pixels` (lines, 48, width, 3)."""

    lines: tuple[int, ...]
    pixels: Pixels


def cut_lines(page: Pixels, quads: Quads) -> list[Line]:
    """The lines at `quads` in `page`, numbered; see `cut_line`."""
    return [cut_line(page, number, quad) for number, quad in enumerate(quads)]


def cut_line(page: Pixels, number: int, quad: npt.NDArray[np.float32]) -> Line:
    """The line at `quad` (4, x and y) in `page`; the first edge of `quad` is the upper one as read."""
    (width, height) = _sides(quad)
    columns = min(max(math.ceil(HEIGHT * width / height), 1), WIDTHS[-1])
    (left, top), (right, bottom) = quad.min(axis=0).tolist(), quad.max(axis=0).tolist()
    if (right - left) * (bottom - top) < STRAIGHT * width * height:
        # Most boxes: a plain resize takes a fifth of the time of a warp.
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
            # A warp takes samples, not means: large letters are shrunk before.
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
    return Line(number, np.asarray(pixels, np.uint8), quad)


def _sides(quad: npt.NDArray[np.float32]) -> tuple[float, float]:
    across = np.linalg.norm(quad[[0, 3]] - quad[[1, 2]], axis=1).max()
    down = np.linalg.norm(quad[[0, 1]] - quad[[3, 2]], axis=1).max()
    return float(across), float(down)


def orienter_batches(lines: Sequence[Line]) -> list[Batch]:
    """The beginnings of the lines, as the orienter wants them: squeezed into its width if longer, padded if shorter."""
    beginnings = (line.pixels[:, :ORIENTER_SEES] for line in lines)
    narrow = [
        np.asarray(cv2.resize(pixels, (min(pixels.shape[1], ORIENTER_WIDTH), HEIGHT)), np.uint8)
        for pixels in beginnings
    ]
    return [
        _batch(range(at, min(at + ORIENTER_ROWS, len(lines))), narrow, ORIENTER_WIDTH)
        for at in range(0, len(lines), ORIENTER_ROWS)
    ]


def recognizer_batches(lines: Sequence[Line]) -> list[Batch]:
    """The lines padded to the recogniser's widths."""
    pixels = [line.pixels for line in lines]
    by_width: dict[int, list[int]] = {}
    for index, line in enumerate(pixels):
        by_width.setdefault(next(width for width in WIDTHS if width >= line.shape[1]), []).append(index)
    return [
        _batch(indices[at : at + RECOGNIZER_ROWS], pixels, width)
        for width, indices in sorted(by_width.items())
        for at in range(0, len(indices), RECOGNIZER_ROWS)
    ]


def _batch(indices: Sequence[int], pixels: Sequence[Pixels], width: int) -> Batch:
    rows = np.full((len(indices), HEIGHT, width, 3), PADDING, np.uint8)
    for row, index in zip(rows, indices, strict=True):
        row[:, : pixels[index].shape[1]] = pixels[index]
    return Batch(tuple(indices), rows)
