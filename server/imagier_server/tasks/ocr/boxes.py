# SPDX-License-Identifier: Apache-2.0
"""Turns the detector's probability map into one rotated rectangle per line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

Quads = npt.NDArray[np.float32]
"""(lines, 4 corners, x and y): upper left, upper right, lower right, lower left in the picture."""

Map = npt.NDArray[np.uint8]
"""The detector's probabilities (height, width); 255 is certainty."""

Contour = npt.NDArray[np.integer | np.floating]
"""(points, 1, x and y): a region's outline, as `cv2.findContours` gives it."""

TEXT = round(0.3 * 255)
"""A pixel of the map above this belongs to text."""

MIN_MEAN = 0.5 * 255
"""Minimum mean of the map in a region's rectangle."""

LONG = 4.0
"""Minimum aspect ratio of what is a line by its shape."""

LONG_MEAN, OUTLINE_MEAN = 0.4 * 255, 0.7 * 255
"""Minimum means of such a region in its rectangle and in its own outline: slanted and bent lines fill little of a rectangle."""

MIN_REGION_SIDE = 3
MIN_LINE_SIDE = 4
UNCLIP = 1.6
MAX_LINES = 1000
"""Maximum lines of one view, from its top."""


def find_boxes(probabilities: Map, scale: tuple[float, float], width: int, height: int) -> Quads:
    """Find lines in `probabilities` (canvas height, canvas width; 255 is certainty), in pixels of a page `width` × `height`.

    The page × `scale` (x, y) is the upper left part of the map. The map shows each line's shrunken core. As in Liao et al.,
    "Real-time Scene Text Detection with Differentiable Binarization" (2020, arXiv:1911.08947), the core is grown on every side by
    area · ratio / perimeter; for a rectangle, which the core is taken to be, nothing more than its sides is needed.
    """
    probabilities = probabilities[: math.ceil(height * scale[1]), : math.ceil(width * scale[0])]
    contours, _ = cv2.findContours(text_of(probabilities), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for contour in sorted(contours, key=lambda contour: cv2.boundingRect(contour)[1]):
        centre, (side, other), angle = cv2.minAreaRect(contour)
        if min(side, other) < MIN_REGION_SIDE:
            continue
        if not is_certain(probabilities, contour):
            continue
        growth = UNCLIP * side * other / (side + other)
        found.append(_corners(centre, (side + growth, other + growth), angle))
        if len(found) == MAX_LINES:
            break
    if not found:
        return np.empty((0, 4, 2), np.float32)
    quads = _in_order(np.stack(found)) / np.asarray(scale, np.float32)
    quads = np.clip(quads, 0, (width, height)).astype(np.float32)
    sides = np.linalg.norm(quads[:, [1, 3]] - quads[:, :1], axis=2)
    return np.asarray(quads[sides.min(axis=1) >= MIN_LINE_SIDE])


def text_of(probabilities: Map) -> npt.NDArray[np.uint8]:
    """The pixels that belong to text, 1 in a map's size: what touches by a corner is one region."""
    return np.asarray(cv2.dilate(np.greater(probabilities, TEXT).view(np.uint8), np.ones((2, 2), np.uint8)))


def line_heights(quads: Quads) -> npt.NDArray[np.float32]:
    """The shorter side of each."""
    return np.asarray(np.linalg.norm(quads - np.roll(quads, 1, axis=1), axis=2).min(axis=1))


def _corners(centre: Sequence[float], sides: Sequence[float], angle: float) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.boxPoints((centre, sides, angle)), np.float32)


def is_certain(probabilities: Map, contour: Contour) -> bool:
    """Say whether the map is certain enough of a region for a box."""
    mean = mean_in_box(probabilities, contour)
    _, sides, _ = cv2.minAreaRect(contour)
    if mean >= MIN_MEAN or mean < LONG_MEAN or max(sides) < LONG * min(sides):
        return mean >= MIN_MEAN
    return _mean(probabilities, contour.reshape(-1, 2).astype(np.float32)) >= OUTLINE_MEAN


def mean_in_box(probabilities: Map, contour: Contour) -> float:
    """The mean of a map in the smallest rectangle around a region."""
    return _mean(probabilities, _corners(*cv2.minAreaRect(contour)))


def _mean(probabilities: Map, corners: npt.NDArray[np.float32]) -> float:
    """The mean of a map in a polygon (corners, x and y)."""
    height, width = probabilities.shape
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, (width - 1, height - 1))
    right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, (width - 1, height - 1))
    inside = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(inside, [(corners - (left, top)).astype(np.int32)], (1,))
    return cv2.mean(probabilities[top : bottom + 1, left : right + 1], inside)[0]


def _in_order(quads: Quads) -> Quads:
    """Order corners: upper left, upper right, lower right, lower left."""
    by_x: Quads = np.take_along_axis(quads, np.argsort(quads[:, :, :1], axis=1, kind="stable"), axis=1)
    left, right = (
        np.take_along_axis(pair, np.argsort(pair[:, :, 1:], axis=1, kind="stable"), axis=1)
        for pair in (by_x[:, :2], by_x[:, 2:])
    )
    return np.stack([left[:, 0], right[:, 0], right[:, 1], left[:, 1]], axis=1)
