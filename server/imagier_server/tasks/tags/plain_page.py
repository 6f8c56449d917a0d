# SPDX-License-Identifier: Apache-2.0
"""Detects pictures with nothing but lettering or lines on plain paper, for which a tagger of photographs has no class.

Lettering is thin, or flat if it is large; objects in photographs are thick and shaded. So on a page no pixel is far
from paper or from a flat colour. The constants are measured by benchmarks/tags_plain_pages.py.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

SAME: Final = 8
"""Tolerance of the paper's colour per channel, for noise of scanners and JPEG."""
FLAT: Final = 2
"""Maximum difference of neighbours in a flat colour."""
PAPER: Final = 0.4
"""Minimum share of paper; dense small print is 0.4 to 0.7 paper."""
NEAR: Final = 4
"""Maximum distance, in pixels of 260, to paper or a flat colour."""
THICK: Final = 0.02
"""Share of non-paper pixels that may be further away."""
_CELLS: Final = 32
_NEIGHBOURS: Final = np.ones((3, 3), np.uint8)
_AROUND: Final = np.ones((2 * NEAR + 1, 2 * NEAR + 1), np.uint8)


def is_plain_page(pixels: npt.NDArray[np.uint8]) -> bool:
    """Whether `pixels` (height, width, 3; sides of about 260) are a plain page, or blank.

    With OpenCV throughout: numpy takes several times as long for three channels of each pixel.
    """
    colour = _most_common(pixels)
    paper = cv2.inRange(pixels, colour - SAME, colour + SAME)
    printed = paper.size - cv2.countNonZero(paper)
    if printed > (1 - PAPER) * paper.size:
        return False
    differences = cv2.dilate(pixels, _NEIGHBOURS) - cv2.erode(pixels, _NEIGHBOURS)
    flat = cv2.inRange(differences, (0, 0, 0), (FLAT, FLAT, FLAT))
    near = cv2.dilate(cv2.bitwise_or(paper, flat), _AROUND)
    return near.size - cv2.countNonZero(near) <= THICK * printed


def _most_common(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """The most common colour: the median of the fullest cell of a coarse colour cube, rounded down."""
    red, green, blue = cv2.split(pixels // (256 // _CELLS))
    cells = (red.astype(np.uint16) * _CELLS + green) * _CELLS + blue
    fullest = pixels[cells == np.bincount(cells.ravel()).argmax()]
    return np.floor([_median(channel) for channel in fullest.T])


def _median(values: npt.NDArray[np.uint8]) -> float:
    """As numpy's, by counting: it sorts."""
    upto = np.bincount(values).cumsum()
    middle = np.searchsorted(upto, ((len(values) - 1) // 2, len(values) // 2), side="right")
    return float(middle.mean())
