# SPDX-License-Identifier: Apache-2.0
"""Sorts lines into reading order by columns and rows, also on tilted and turned pages."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import numpy.typing as npt

Corners = npt.NDArray[np.float64]
"""(4, x and y), clockwise as read from the corner where reading begins."""

COLUMN_LINES = 3
ALIGNED = 0.5
"""Share of a column's lines with common edges; lists and tables are ragged."""

# In heights of a line: how wide prose is at least, how far lines are from one another at most, and what counts as the same edge.
COLUMN_WIDTH = 8.0
PITCH = 1.6
EDGE = 2.0


@dataclass(frozen=True, slots=True)
class _Line:
    """A line, in the axes of its page: x along most of the text, y from one line to the next."""

    index: int
    left: float
    right: float
    y: float
    height: float
    crossing: bool
    """Whether it runs across the page's text: a banner, a title on a spine."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of prose: its common edges, the centres of its first and last line, and the lines' indices."""

    left: float
    right: float
    top: float
    bottom: float
    members: frozenset[int]


def reading_order(lines: Sequence[Corners]) -> list[int]:
    """Return the indices of `lines` in reading order: columns of prose one after another, everything else row by row.

    The page's own axes are those along which most of its text runs, so that a tilted or turned page is read like a straight one,
    and Chinese columns from right to left. Where columns of prose stand side by side, the page is cut between them, or first at a
    title that spans them: the recursive X-Y cut (Nagy and Seth, "Hierarchical Representation of Optically Scanned Documents",
    1984), but only where prose shows that a gap is meant, for a table has gaps too.
    """
    if not lines:
        return []
    placed = _in_page_axes(np.stack(lines))
    return [line.index for line in _ordered(placed, _columns(placed))]


def _in_page_axes(corners: npt.NDArray[np.float64]) -> list[_Line]:
    run = corners[:, [1, 2]].mean(axis=1) - corners[:, [0, 3]].mean(axis=1)
    across = _direction(run)
    down = np.array((-across[1], across[0]))
    along, y = corners @ across, corners.mean(axis=1) @ down
    # A slightly tilted long line does not count as higher; one that crosses the page does.
    crossing = np.abs(run @ down) > np.abs(run @ across)
    height = np.where(crossing, np.ptp(corners @ down, axis=1), np.linalg.norm(corners[:, 3] - corners[:, 0], axis=1))
    columns = (along.min(axis=1), along.max(axis=1), y, height, crossing)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [_Line(index, *row) for index, row in enumerate(rows)]


def _direction(along: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The unit vector along which most text runs: the mean of the fullest of four quadrants."""
    quarter = np.rint(np.arctan2(along[:, 1], along[:, 0]) / (np.pi / 2)).astype(int) % 4
    length = np.bincount(quarter, weights=np.linalg.norm(along, axis=1), minlength=4)
    total = along[quarter == length.argmax()].sum(axis=0)
    return np.asarray(total / np.linalg.norm(total))


def _columns(lines: Sequence[_Line]) -> list[_Column]:
    """Find columns of prose: several wide lines close below one another, mostly with common edges."""
    columns = []
    for stack in _stacks(lines):
        left, right = median(line.left for line in stack), median(line.right for line in stack)
        height = median(line.height for line in stack)
        full = [line for line in stack if max(abs(line.left - left), abs(line.right - right)) < EDGE * height]
        if len(stack) < COLUMN_LINES or right - left < COLUMN_WIDTH * height or len(full) < ALIGNED * len(stack):
            continue
        members = frozenset(line.index for line in stack)
        columns.append(_Column(left, right, full[0].y, full[-1].y, members))
    return columns


def _stacks(lines: Sequence[_Line]) -> list[list[_Line]]:
    """Group lines of one height and left edge, each close below the previous one."""
    stacks: list[list[_Line]] = []
    for line in sorted(lines, key=lambda line: line.y):
        for stack in stacks:
            above = stack[-1]
            high = max(line.height, above.height)
            if (
                high < 1.5 * min(line.height, above.height)
                and 0.5 * high < line.y - above.y < PITCH * high
                and abs(line.left - above.left) < EDGE * high
            ):
                stack.append(line)
                break
        else:
            stacks.append([line])
    return stacks


def _ordered(lines: list[_Line], columns: list[_Column]) -> list[_Line]:
    here = [column for column in columns if any(line.index in column.members for line in lines)]
    for left, right in itertools.permutations(here, 2):
        top, bottom = max(left.top, right.top), min(left.bottom, right.bottom)
        if left.right > right.left or top > bottom:
            continue
        spanning = [line.y for line in lines if line.left < left.right and line.right > right.left]
        above, below = [y for y in spanning if y < top], [y for y in spanning if y > bottom]
        if above:
            first = [line for line in lines if line.y <= max(above)]
        elif below:
            first = [line for line in lines if line.y < min(below)]
        else:
            first = [line for line in lines if line.left + line.right < left.right + right.left]
        taken = {line.index for line in first}
        rest = [line for line in lines if line.index not in taken]
        if first and rest:
            return _ordered(first, here) + _ordered(rest, here)
    return _rows(lines)


def _rows(lines: Sequence[_Line]) -> list[_Line]:
    """Sort row by row; a row holds the lines whose centre is within half a line height of its first one.

    A line across the rows comes before the rows beside it if it is on their left, else after them.
    """
    rows: list[list[_Line]] = []
    for line in sorted((line for line in lines if not line.crossing), key=lambda line: line.y):
        first = rows[-1][0] if rows else line
        if rows and line.y - first.y < min(line.height, first.height) / 2:
            rows[-1].append(line)
        else:
            rows.append([line])
    units = [((place, 0, 0.0, 0.0), sorted(row, key=lambda line: line.left)) for place, row in enumerate(rows)]
    for banner in (line for line in lines if line.crossing):
        beside = [place for place, row in enumerate(rows) if abs(row[0].y - banner.y) < banner.height / 2]
        if not beside:
            beside = [sum(row[0].y < banner.y for row in rows)]
        on_left = all(banner.left < line.left for place in beside if place < len(rows) for line in rows[place])
        place, side = (beside[0], -1) if on_left else (beside[-1], 1)
        units.append(((place, side, banner.left, banner.y), [banner]))
    return [line for _, unit in sorted(units, key=lambda each: each[0]) for line in unit]
