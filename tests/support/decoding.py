# SPDX-License-Identifier: Apache-2.0
"""Decodes with a real decoder process, and what is asked of its pixels and its errors."""

from __future__ import annotations

import numpy as np
import pytest
from imagier_server.decode.formats import sniff
from imagier_server.decode.process import DecoderProcess
from imagier_server.decode.refusals import Caps
from imagier_server.errors import Code, InvalidImageError
from imagier_server.messages import Picture

CAPS = Caps(100_000_000, 30_000)


def decode(decoder: DecoderProcess, image: bytes, scale: float = 1.0) -> Picture:
    return decoder.decode(image, sniff(image), lambda *_: scale, 20.0)


def refused(decoder: DecoderProcess, image: bytes) -> str:
    """The text of the permanent error that this picture gets, from a decoder that lives on."""
    with pytest.raises(InvalidImageError) as raised:
        decode(decoder, image)
    error = raised.value
    assert (error.code, error.field, error.retry_after) == (Code.INVALID, "image", None)
    assert error.reason in {"INVALID_IMAGE", "IMAGE_TOO_LARGE"}
    assert decoder.alive
    return error.text


def colours(picture: Picture) -> list[tuple[int, ...]]:
    """Of the middles of the four quadrants."""
    height, width = picture.pixels.shape[:2]
    return [tuple(picture.pixels[y, x]) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]


def near(found: object, expected: object, tolerance: float) -> bool:
    return bool(np.abs(np.asarray(found, float) - np.asarray(expected, float)).max() <= tolerance)
