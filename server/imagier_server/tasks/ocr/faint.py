# SPDX-License-Identifier: Apache-2.0
"""Brings out text that is fainter than the grain around it: a pencil's, a thermal receipt's, that of an old copy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from imagier_server.messages import Pixels
from imagier_server.tasks.ocr.page import resized

FAINT: Final = 64
"""Levels of grey between paper and ink, below which ink is faint."""

GRAIN: Final = 0.2
"""Share of that contrast which the noise must have: without noise, faint text is read as well as any."""

GLIMPSE: Final = 256
"""Long side at which most pictures show more contrast than that."""

MAX_PIXELS: Final = 4_000_000
"""Of what lines are looked for in: taking the noise away takes nearly a CPU second for a million."""

_ENDS: Final = (0.005, 0.995)
"""Shares of pixels that are darker than the ink and than the paper."""

_SMOOTH: Final = 1.5
"""Deviation in pixels of the blur that leaves the contrast of letters, and little of the noise."""

_FINDING_SMOOTH: Final = 0.7
"""Likewise for the detector, after non-local means, which leave jagged edges."""

_READING_SMOOTH: Final = 1.25
"""Likewise for the recogniser: it reads blurred letters better than those that non-local means leave."""

_STRENGTH: Final = 1.5
"""Of non-local means, in deviations of the noise."""

_PATCH, _AROUND = 5, 15
"""Sides in pixels of the patches that are compared, and of where they are looked for."""

_LAPLACIANS = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
"""The difference of two Laplacians: 0 on slopes and straight edges, 6 deviations of white noise."""

_Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class BroughtOut:
    """A page with its faint text made clear: `to_find` lines in, at `scale` of its size, and `to_read` them from."""

    to_find: Pixels
    to_read: Pixels
    scale: float


def bring_out(page: Pixels) -> BroughtOut | None:
    """Make the text of `page` (height, width, 3) clear if all is faint and noisy; None for any other picture.

    The detector gets a page without noise by non-local means (Buades, Coll, Morel 2005), the recogniser a blurred one. Both are
    stretched to full contrast.
    """
    if _contrast(_grey(page, GLIMPSE / max(page.shape[:2]))) >= FAINT:
        return None
    scale = min(1.0, math.sqrt(MAX_PIXELS / (page.shape[0] * page.shape[1])))
    grey = _grey(page, scale)
    contrast, noise = _contrast(grey), _noise(grey)
    if contrast >= FAINT or noise <= max(1.0, GRAIN * contrast):
        return None
    clean = cv2.fastNlMeansDenoising(grey, None, _STRENGTH * noise, _PATCH, _AROUND)
    clean = cv2.GaussianBlur(clean, (0, 0), _FINDING_SMOOTH)
    smooth = cv2.GaussianBlur(page, (0, 0), _READING_SMOOTH / scale)
    return BroughtOut(_stretched(cv2.cvtColor(clean, cv2.COLOR_GRAY2RGB)), _stretched(smooth), scale)


def _grey(page: Pixels, scale: float) -> _Grey:
    """`page` in grey, shrunk to `scale` of its size if that is less than 1."""
    height, width = (max(1, round(side * min(scale, 1.0))) for side in page.shape[:2])
    return np.asarray(cv2.cvtColor(resized(page, (width, height)), cv2.COLOR_RGB2GRAY), np.uint8)


def _ends(grey: _Grey) -> tuple[int, int]:
    """The levels of ink and paper, or the other way round: the darker first."""
    below = np.cumsum(cv2.calcHist([grey], [0], None, [256], [0, 256])) / grey.size
    dark, light = np.searchsorted(below, _ENDS).tolist()
    return dark, light


def _contrast(grey: _Grey) -> int:
    dark, light = _ends(np.asarray(cv2.GaussianBlur(grey, (0, 0), _SMOOTH), np.uint8))
    return light - dark


def _noise(grey: _Grey) -> float:
    """The deviation of the noise (Immerkær 1996)."""
    differences = cv2.filter2D(grey, cv2.CV_32F, _LAPLACIANS)
    return cv2.norm(differences, cv2.NORM_L1) / differences.size * math.sqrt(math.pi / 2) / 6


def _stretched(pixels: npt.NDArray[Any]) -> Pixels:
    """Stretch the contrast of a page to all levels."""
    dark, light = _ends(_grey(np.asarray(pixels, np.uint8), 1.0))
    levels = np.clip((np.arange(256) - dark) * (255 / max(light - dark, 1)), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, levels), np.uint8)
