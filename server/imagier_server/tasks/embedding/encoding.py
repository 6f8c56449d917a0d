# SPDX-License-Identifier: Apache-2.0
"""Checks vectors, and writes them in fewer bytes. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

from imagier_server.errors import InternalError
from imagier_server.tasks.embedding.values import Encoding, Vector, Vectors

_LARGEST = 127
_ROUNDING: Final = 1e-2
"""Tolerance of a vector's length of 1, for models in half precision."""


def encoded(vectors: Vectors, encoding: Encoding) -> tuple[Vector, ...]:
    """Write each row of (number, dimension), as `VectorEncoding` of the contract says."""
    match encoding:
        case Encoding.FLOAT32:
            return tuple(Vector(encoding, values=tuple(row)) for row in vectors.tolist())
        case Encoding.FLOAT16:
            return tuple(Vector(encoding, packed=row.tobytes()) for row in vectors.astype("<f2"))
        case Encoding.INT8:
            scales = np.abs(vectors).max(axis=1) / _LARGEST
            whole = np.rint(vectors / scales[:, np.newaxis]).astype(np.int8)
            pairs = zip(whole, scales.tolist(), strict=True)
            return tuple(Vector(encoding, packed=row.tobytes(), scale=scale) for row, scale in pairs)
        case Encoding.BITS:
            return tuple(Vector(encoding, packed=row.tobytes()) for row in np.packbits(vectors > 0, axis=1))


def unit(vectors: Vectors, dimension: int) -> Vectors:
    """The vectors, checked. Raises `InternalError` if one has another dimension or length."""
    if vectors.shape[1:] != (dimension,) or not (np.abs(np.linalg.norm(vectors, axis=1) - 1) <= _ROUNDING).all():
        raise InternalError
    return vectors
