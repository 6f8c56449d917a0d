# SPDX-License-Identifier: Apache-2.0
"""The picture that the throughput benchmark sends: 3 megapixels made of scikit-image's photographs, the same everywhere."""

from __future__ import annotations

import io
import itertools

import numpy as np
from PIL import Image

SIZE = (2048, 1536)
QUALITY = 85


def mosaic() -> bytes:
    """A JPEG of `SIZE` pixels at `QUALITY`: the photographs side by side at their own resolution, so that its detail is real."""
    from skimage import data

    photographs = itertools.cycle([data.astronaut(), data.coffee(), data.rocket(), data.chelsea()])
    picture = Image.new("RGB", SIZE)
    top = 0
    while top < SIZE[1]:
        left = lowest = 0
        while left < SIZE[0]:
            photograph = Image.fromarray(np.asarray(next(photographs)))
            picture.paste(photograph, (left, top))
            left += photograph.width
            lowest = min(lowest or photograph.height, photograph.height)
        top += lowest
        next(photographs)  # no two rows alike
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def small(side: int) -> bytes:
    """The same with so many pixels on its longer side."""
    file = io.BytesIO()
    picture = Image.open(io.BytesIO(mosaic()))
    picture.thumbnail((side, side))
    picture.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
