# SPDX-License-Identifier: Apache-2.0
"""Detects pictures with nothing but lettering or lines on plain paper, for which a tagger of photographs has no class.

Lettering is thin, or flat if it is large; objects in photographs are thick and shaded. So on a page no pixel is far
from paper or from a flat colour. The constants are measured by benchmarks/tags_plain_pages.py.
"""

from __future__ import annotations

from typing import Any, Final

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


def is_plain_page(pixels: npt.NDArray[Any]) -> bool:
    """Whether `pixels` (height, width, 3; sides of about 260) are a plain page, or blank."""
    paper = np.abs(pixels.astype(np.int16) - _most_common(pixels)).max(-1) <= SAME
    printed = int(paper.size - np.count_nonzero(paper))
    if printed > (1 - PAPER) * paper.size:
        return False
    flat = (cv2.dilate(pixels, _NEIGHBOURS) - cv2.erode(pixels, _NEIGHBOURS)).max(-1) <= FLAT
    near = cv2.dilate((paper | flat).view(np.uint8), _AROUND)
    return int(near.size - np.count_nonzero(near)) <= THICK * printed


def _most_common(pixels: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    """The most common colour: the median of the fullest cell of a coarse colour cube."""
    cells = pixels.astype(np.int32) * _CELLS // 256 @ np.array((_CELLS * _CELLS, _CELLS, 1), np.int32)
    fullest = np.bincount(cells.ravel()).argmax()
    return np.asarray(np.median(pixels[cells == fullest], axis=0), np.int16)
