# SPDX-License-Identifier: Apache-2.0
"""PDQ, a perceptual hash: 256 bits that stay nearly the same when a picture is re-encoded, resized or recoloured a little.

Source: Meta, "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm" (2019), `hashing.pdf` of
github.com/facebook/ThreatExchange. Written anew: the library `pdqhash` has no wheel for Linux, and needs a compiler.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

BYTES: Final = 32
BEST_QUALITY: Final = 100
_BLOCKS: Final = 64
_FREQUENCIES: Final = 16
_PASSES: Final = 2
_FLAT: Final = 1e-6
"""Spread of the coefficients, in shades, that only a plain picture stays below."""

Reals = npt.NDArray[np.float64]


def samples(luma: npt.NDArray[np.floating]) -> Reals:
    """64 × 64 samples of the luma (H, W), 0 to 255, after two passes of a box blur in each direction."""
    return _sampled(_sampled(luma).T).T


def _sampled(lines: npt.NDArray[np.floating]) -> Reals:
    """(H, W) → (64, W): blur down the columns, and take a row of each block."""
    places, weights = _taps(len(lines))
    return np.asarray(np.einsum("st,stw->sw", weights, lines[places]))


@lru_cache(maxsize=4)
def _taps(size: int) -> tuple[npt.NDArray[np.intp], Reals]:
    """Places and weights, (64, T) each, of the values along a side that a sample is made of.

    The window of a blur is half a block wide, rounded up; where it cannot be centred it has one value more ahead than behind.
    Beyond the ends there is nothing.
    """
    width = (size + 2 * _BLOCKS - 1) // (2 * _BLOCKS)
    ahead = (width + 2) // 2 - 1
    reach = np.arange(ahead - width + 1, ahead + 1)
    places = ((np.arange(_BLOCKS) + 0.5) * size / _BLOCKS).astype(int)[:, np.newaxis]
    weights = np.ones(places.shape)
    for _ in range(_PASSES):
        window = places[:, :, np.newaxis] + reach
        there = (window >= 0) & (window < size)
        shares = weights[:, :, np.newaxis] * there / there.sum(axis=2, keepdims=True)
        places, weights = window.clip(0, size - 1).reshape(_BLOCKS, -1), shares.reshape(_BLOCKS, -1)
    return places, weights


def quality(small: Reals) -> int:
    """How much there is to see, 0 to 100: the sum of the steps between neighbouring samples, in whole percents of the range."""
    steps = sum(int(np.abs(np.trunc(np.diff(small, axis=axis) * 100 / 255)).sum()) for axis in (0, 1))
    return min(BEST_QUALITY, steps // 90)


def bits(small: Reals) -> bytes:
    """The hash of the samples, 32 bytes: whether each frequency is above the median, the lower one of two.

    The first frequency is the last bit, as in the authors' hexadecimal form.
    """
    coefficients = (_DCT @ small @ _DCT.T).ravel()
    if np.ptp(coefficients) < _FLAT:
        return bytes(BYTES)  # not what errors of rounding would make of it
    middle = coefficients.size // 2 - 1
    median = np.partition(coefficients, middle)[middle]
    return np.packbits((coefficients > median)[::-1]).tobytes()


_DCT: Final = np.sqrt(2 / _BLOCKS) * np.cos(
    np.pi / 2 / _BLOCKS * np.outer(np.arange(1, _FREQUENCIES + 1), 2 * np.arange(_BLOCKS) + 1)
)
"""(16, 64): the discrete cosine transform's frequencies from 1 to 16. Frequency 0, the mean, is left out."""
