# SPDX-License-Identifier: Apache-2.0
"""Finds reading directions: the axes from the boxes' shapes, the end to begin at from the orienter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from imagier_server.tasks.ocr.boxes import Quads
from imagier_server.tasks.ocr.lines import Line

CLEAR = 1.5
"""Minimum aspect ratio of a box that determines its axis."""

CROSSING = 3.0
"""Minimum aspect ratio of a line across the page's main axis: an upright "1" is tall."""

UPSIDE_DOWN = 0.5

Vectors = npt.NDArray[np.float64]
"""(lines, x and y)."""


def reading_quads(quads: Quads) -> Quads:
    """Rotate the corners of `quads` to begin where reading does, if no line is upside down.

    Lines read along the page's main axis, rightwards or downwards; only long boxes across it read across.
    """
    if not len(quads):
        return quads
    edges = np.stack([quads[:, 1] - quads[:, 0], quads[:, 3] - quads[:, 0]]).astype(np.float64)
    lengths = np.linalg.norm(edges, axis=2)
    longer = lengths.argmax(axis=0)
    every = np.arange(len(quads))
    ratio = lengths.max(axis=0) / np.maximum(lengths.min(axis=0), 1e-6)
    along = edges[longer, every] / np.maximum(lengths.max(axis=0), 1e-6)[:, np.newaxis]
    main = _main_axis(along, np.where(ratio >= CLEAR, lengths.max(axis=0), 0.0))
    crossing = (np.abs(along @ main) < np.abs(along @ _across(main))) & (ratio >= CROSSING)
    wanted = np.where(crossing[:, np.newaxis], _across(main), main)
    around = np.roll(quads, -1, axis=1) - quads
    first = np.einsum("nkd,nd->nk", around / np.maximum(np.linalg.norm(around, axis=2, keepdims=True), 1e-6), wanted)
    places = (first.argmax(axis=1)[:, np.newaxis] + np.arange(4)) % 4
    return np.asarray(np.take_along_axis(quads, places[:, :, np.newaxis], axis=1))


def first_ways(lines: Sequence[Line], upside_down: npt.NDArray[np.float32]) -> list[Line]:
    """Choose the first readings of `lines` at `reading_quads`; `upside_down` is the orienter's probability for each.

    The lines of an axis vote, weighted by length. A line that disagrees is read both ways.
    """
    if not lines:
        return []
    begin_to_end = np.stack([line.corners[1] - line.corners[0] for line in lines]).astype(np.float64)
    length = np.linalg.norm(begin_to_end, axis=1)
    turned = upside_down > UPSIDE_DOWN
    most = np.zeros(len(lines), bool)
    main = _main_axis(begin_to_end / np.maximum(length, 1e-6)[:, np.newaxis], length)
    crosses = np.abs(begin_to_end @ main) < np.abs(begin_to_end @ _across(main))
    for group in (crosses, ~crosses):
        # Most pictures are upright: a single line does not disprove it.
        if turned[group].sum() > 1:
            most[group] = ((upside_down[group] - UPSIDE_DOWN) * length[group]).sum() > 0
    ways = []
    for line, all_turned, this_turned in zip(lines, most.tolist(), turned.tolist(), strict=True):
        if not all_turned or not this_turned:
            ways.append(line)
        if all_turned or this_turned:
            ways.append(_turned(line))
    return ways


def other_ways(line: Line) -> list[Line]:
    """Further readings of a doubtful line: from its other end, and across if it is not long."""
    (begin, end, _, below) = line.corners
    length, height = np.linalg.norm(end - begin), np.linalg.norm(below - begin)
    quarters = (2, 1, 3) if max(length, height) < CROSSING * min(length, height) else (2,)
    return [_turned(line, each) for each in quarters]


def _turned(line: Line, quarters: int = 2) -> Line:
    return Line(line.number, np.roll(line.corners, quarters, axis=0))


def _main_axis(along: Vectors, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The mean axis as a unit vector from -45° to 135°.

    Directions are summed at twice their angle, where a line equals its reverse (Mardia and Jupp,
    "Directional Statistics", section 1.1).
    """
    angles = 2 * np.arctan2(along[:, 1], along[:, 0])
    angle = np.arctan2((weights * np.sin(angles)).sum(), (weights * np.cos(angles)).sum()) / 2
    if angle < -np.pi / 4:
        angle += np.pi
    return np.array((np.cos(angle), np.sin(angle)))


def _across(main: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The other axis, likewise rightwards or downwards."""
    x, y = main
    return np.array((-y, x)) if x > y else np.array((y, -x))
