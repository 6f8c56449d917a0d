# SPDX-License-Identifier: Apache-2.0
"""What the tagger sees of a picture: its centre, or several crops of a panorama."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from PIL import Image

from imagier_server.messages import Picture, Tensors

MODEL: Final = "tagger"
SIDE: Final = 260
"""Side of the model's input in pixels."""
SHORTER_SIDE: Final = 297
"""Shorter side to which the picture is scaled before the centre crop, as in the weights' own preprocessing."""
MAX_CROPS: Final = 6
"""Maximum crops, for panoramas at least seven times as long as wide."""


def scale(width: int, height: int) -> float:
    """The scale at which the shorter side is as the model's preprocessing needs it."""
    return min(1.0, SHORTER_SIDE / min(width, height))


def prepare(picture: Picture) -> Tensors:
    """Cut `pixels` (crops, SIDE, SIDE, 3) from the picture, scaled to SHORTER_SIDE.

    The centre, or several crops from end to end of a panorama. Scales only if the decoded picture has another size.
    """
    height, width = picture.pixels.shape[:2]
    factor = SHORTER_SIDE / min(height, width)
    scaled_width, scaled_height = round(width * factor), round(height * factor)
    ready = (scaled_width, scaled_height) == (width, height)
    whole = None if ready else Image.fromarray(picture.pixels)
    across, down = width / scaled_width, height / scaled_height
    pixels = []
    for left, top in _corners(scaled_width, scaled_height, _crops(picture.width, picture.height)):
        if whole is None:
            pixels.append(picture.pixels[top : top + SIDE, left : left + SIDE])
        else:
            # Cropped before scaling: a long panorama is never scaled as a whole.
            box = (left * across, top * down, min(width, (left + SIDE) * across), min(height, (top + SIDE) * down))
            pixels.append(np.asarray(whole.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)))
    return {"pixels": np.stack(pixels)}


def _crops(width: int, height: int) -> int:
    """Number of crops: one up to twice as long as wide, two up to three times, and so on."""
    return min(MAX_CROPS, max(1, math.ceil(max(width, height) / min(width, height)) - 1))


def _corners(width: int, height: int, count: int) -> list[tuple[int, int]]:
    """(left, top) of each crop, evenly from end to end."""
    if count == 1:
        return [((width - SIDE) // 2, (height - SIDE) // 2)]
    steps = [step / (count - 1) for step in range(count)]
    if width > height:
        return [(round((width - SIDE) * step), (height - SIDE) // 2) for step in steps]
    return [((width - SIDE) // 2, round((height - SIDE) * step)) for step in steps]
