# SPDX-License-Identifier: Apache-2.0
"""The order in which a person would read the lines of a picture, also when the picture is tilted or turned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Corners = npt.NDArray[np.float64]
"""(4, x and y): from the corner where reading begins, clockwise as read."""


def reading_order(lines: Sequence[Corners]) -> list[int]:
    """Indices of `lines`: row by row, and along each row.

    The page's own axes are those along which most of its text runs, so that a tilted or turned page is read like a straight one.
    A row gathers the lines whose middle is within half a line's height of the row's first one.
    """
    if not lines:
        return []
    corners = np.stack(lines)
    start, end = corners[:, [0, 3]].mean(axis=1), corners[:, [1, 2]].mean(axis=1)
    across = _direction(end - start)
    down = np.array((-across[1], across[0]))
    x, y = start @ across, corners.mean(axis=1) @ down
    height = np.ptp(corners @ down, axis=1)
    rows: list[list[int]] = []
    for index in np.argsort(y, kind="stable").tolist():
        first = rows[-1][0] if rows else index
        if rows and y[index] - y[first] < min(height[index], height[first]) / 2:
            rows[-1].append(index)
        else:
            rows.append([index])
    return [index for row in rows for index in sorted(row, key=x.__getitem__)]


def _direction(along: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The unit vector along which most text runs: of the four quarters the one with the most, and in it the mean."""
    quarter = np.rint(np.arctan2(along[:, 1], along[:, 0]) / (np.pi / 2)).astype(int) % 4
    length = np.bincount(quarter, weights=np.linalg.norm(along, axis=1), minlength=4)
    total = along[quarter == length.argmax()].sum(axis=0)
    return np.asarray(total / np.linalg.norm(total))
