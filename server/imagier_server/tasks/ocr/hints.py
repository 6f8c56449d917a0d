# SPDX-License-Identifier: Apache-2.0
"""Says what of a view deserves a closer look: small or uncertain traces of text, and print too small to tell from fur."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from imagier_server.messages import Pixels
from imagier_server.tasks.ocr.boxes import (
    LONG,
    TEXT,
    UNCLIP,
    Contour,
    Map,
    Quads,
    find_boxes,
    line_heights,
    mean_in_box,
    text_of,
)
from imagier_server.tasks.ocr.canvases import Area

TRUSTED = 16.0
"""Height of boxes from which on letters are as good as from nearer by."""

TRACE = 110
"""Minimum peak of a trace: pictures without text have fainter ones everywhere, letters of 5 pixels have higher ones."""

DOUBT = 0.6 * 255
"""A line lower than twice `TRUSTED` is a trace if its rectangle's mean is below this: slanted lines show too little at a glance."""

MARGIN = 24
"""What is looked at around a trace, beside the context, in its pixels: a line begins before it leaves a trace."""

MOTTLED, HOLES = 48.0, 12
"""Height and holes of a region that may be a page of small print, or fur."""

SAMPLE = 94
"""Side of the sample that decides which it is: seen closer with its context, it just fits on the smallest canvas."""

LINE = 3.0
"""Minimum aspect ratio of a region of a sample that looks like a line."""

LINES = 0.15
"""Minimum share of a sample that looks like lines."""

LOST = 0.2
"""Share of a trace that a closer look has to confirm; of print it shows about half, as gaps between lines open."""

CELL = 8
"""Side of the cells whose edges are compared, in pixels of a glance."""

CLEAR, CLEARER = 6.0, 2.0
"""How much more edge a detail has: levels of grey, and times that of the typical cell."""

PLAIN = 0.06
"""Maximum share of details on a plain ground; a photograph has them everywhere."""

DETAIL = 6
"""Maximum height of a detail in cells: a line or a few."""

DETAILS = 4
"""If there are more details, the first so many decide whether the others are looked at: a photograph may have dozens."""

LINE_HEIGHT = 40.0
"""Maximum height of a line seen closer: a sample is a few lines high."""


@dataclass(frozen=True, slots=True)
class Hints:
    """Of a map: `traces` that deserve a closer look, and mottled `regions`, each with the `samples` that decides about it."""

    traces: list[Area]
    regions: list[Area]
    samples: list[Area]


def find_hints(probabilities: Map, trusted: float = TRUSTED, trace: int = TRACE) -> Hints:
    """Find boxes lower than `trusted` and doubtful lines, both with a peak of at least `trace`; and mottled regions."""
    outlines, tree = cv2.findContours(text_of(probabilities), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    contours = [np.asarray(outline, np.int32) for outline in outlines]
    found = Hints([], [], [])
    height, width = probabilities.shape
    for number, contour in enumerate(contours):
        if tree[0, number, 3] >= 0:
            continue
        left, top, wide, tall = cv2.boundingRect(contour)
        box = _box_height(contour)
        if box < trusted or (box < 2 * trusted and _is_doubtful_line(probabilities, contour)):
            if probabilities[top : top + tall, left : left + wide].max() >= trace:
                found.traces.append(_wider((left, top, left + wide, top + tall), width, height))
        elif box >= MOTTLED:
            holes = _holes(contours, tree[0], number)
            if len(holes) >= HOLES:
                found.regions.append((left, top, left + wide, top + tall))
                found.samples.append(_sample(holes, width, height))
    return found


def find_details(pixels: Pixels) -> list[Area]:
    """Find what stands out on a plain ground, in pixels (height, width, 3): letters too small to leave a trace there.

    What is most like a line, long and thin in any direction, comes first.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < CELL:
        return []
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    edges = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    size = (width // CELL, height // CELL)
    cells = cv2.resize(edges.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    details = (cells > CLEAR + CLEARER * float(np.median(cells))).astype(np.uint8)
    if details.mean() > PLAIN:
        return []
    # Words of a line belong together.
    joined = cv2.morphologyEx(details, cv2.MORPH_CLOSE, np.ones((1, 5), np.uint8))
    _, _, parts, _ = cv2.connectedComponentsWithStats(joined)
    x, y = width / size[0], height / size[1]
    found = [part for part in parts[1:].tolist() if part[4] > 1 and min(part[2:4]) <= DETAIL]
    return [
        _wider((round(left * x), round(top * y), round((left + wide) * x), round((top + tall) * y)), width, height)
        for left, top, wide, tall, _ in sorted(found, key=lambda part: min(part[2:4]) / max(part[2:4]))
    ]


def shows_text(probabilities: Map, area: Area) -> bool:
    """Say whether a map shows a box in an area: what is too uncertain to become one tells nothing."""
    return len(_heights(probabilities, area)) > 0


def shows_line(probabilities: Map, area: Area) -> bool:
    """Say whether a map shows a box in an area that is as low as a line of a few letters is, seen closer."""
    return bool((_heights(probabilities, area) <= LINE_HEIGHT).any())


def looks_like_print(probabilities: Map, sample: Area) -> bool:
    """Say whether a sample, seen closer in `probabilities`, shows lines."""
    left, top, right, bottom = sample
    part = probabilities[top:bottom, left:right]
    contours, _ = cv2.findContours(np.greater(part, TEXT).view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    area = 0.0
    for contour in contours:
        _, sides, _ = cv2.minAreaRect(contour)
        if max(sides) >= LINE * min(sides) and _box_height(np.asarray(contour, np.int32)) <= LINE_HEIGHT:
            area += sides[0] * sides[1]
    return area >= LINES * part.size


def keep_lost(before: Map, seen: Map, traces: Sequence[Area], places: Sequence[Area]) -> None:
    """Write into `seen` what `before` showed of `traces`, if little of it is left at their `places`: on a pattern, less is more."""
    for (left, top, right, bottom), (x, y, end, lower) in zip(traces, places, strict=True):
        part = seen[y:lower, x:end]
        if not part.size:
            continue
        was = cv2.resize(before[top:bottom, left:right], part.shape[::-1], interpolation=cv2.INTER_LINEAR)
        if (part > TEXT).sum() < LOST * (was > TEXT).sum():
            part[:] = was


def around(quads: Quads, scale: tuple[float, float], width: int, height: int) -> list[Area]:
    """The areas of `quads` (in pixels of the page) in a view of the page × `scale`."""
    areas = []
    for quad in quads * np.asarray(scale, np.float32):
        (left, top), (right, bottom) = np.floor(quad.min(axis=0)).tolist(), np.ceil(quad.max(axis=0)).tolist()
        areas.append(
            _within((int(left) - MARGIN, int(top) - MARGIN, int(right) + MARGIN, int(bottom) + MARGIN), width, height)
        )
    return areas


def _box_height(contour: Contour) -> float:
    """The height of the box that a region's becomes (`find_boxes`)."""
    _, (side, other), _ = cv2.minAreaRect(contour)
    return min(side, other) + UNCLIP * side * other / max(side + other, 1.0)


def _is_doubtful_line(probabilities: Map, contour: Contour) -> bool:
    """Say whether a region is as long as a line and hardly certain enough for a box."""
    _, sides, _ = cv2.minAreaRect(contour)
    return max(sides) >= LONG * min(sides) and mean_in_box(probabilities, contour) < DOUBT


def _heights(probabilities: Map, area: Area) -> npt.NDArray[np.float32]:
    """The shorter sides of the boxes that a map shows in an area."""
    left, top, right, bottom = area
    quads = find_boxes(probabilities[top:bottom, left:right], (1.0, 1.0), right - left, bottom - top)
    return line_heights(quads)


def _holes(contours: Sequence[Contour], tree: npt.NDArray[np.int32], number: int) -> npt.NDArray[np.float64]:
    """The middles (holes, x and y) of a region's holes."""
    middles = []
    hole = tree[number, 2]
    while hole >= 0:
        middles.append(contours[hole][:, 0].mean(axis=0))
        hole = tree[hole, 0]
    return np.reshape(middles, (-1, 2))


def _sample(holes: npt.NDArray[np.float64], width: int, height: int) -> Area:
    """Where most of the holes are."""
    cells, counts = np.unique((holes // (SAMPLE / 2)).astype(int), axis=0, return_counts=True)
    x, y = (
        (holes[((holes // (SAMPLE / 2)).astype(int) == cells[counts.argmax()]).all(axis=1)])
        .mean(axis=0)
        .astype(int)
        .tolist()
    )
    return _within((x - SAMPLE // 2, y - SAMPLE // 2, x + SAMPLE // 2, y + SAMPLE // 2), width, height)


def _wider(area: Area, width: int, height: int) -> Area:
    left, top, right, bottom = area
    return _within((left - MARGIN, top - MARGIN, right + MARGIN, bottom + MARGIN), width, height)


def _within(area: Area, width: int, height: int) -> Area:
    left, top, right, bottom = area
    return max(0, left), max(0, top), min(width, right), min(height, bottom)
