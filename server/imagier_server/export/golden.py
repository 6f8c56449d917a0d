# SPDX-License-Identifier: Apache-2.0
"""Writes `assets/golden.npz`: what an embedder must answer, which every Triton is asked before it counts as ready."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt

FILE = "golden.npz"


def golden(**arrays: npt.NDArray[Any]) -> bytes:
    """The file of these arrays: `texts` or `pixels` UINT8 (n, size, size, 3), and `vectors` FP32 (n, dimension) of their source.

    The space that makes pictures of the tagger's scores has both: then `pictures` are the vectors of `pixels`.
    """
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    return content.getvalue()
