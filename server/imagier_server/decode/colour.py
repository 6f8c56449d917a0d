# SPDX-License-Identifier: Apache-2.0
"""Converts any mode to 8-bit sRGB: ranges, profiles, transparency."""

from __future__ import annotations

from math import isfinite

from PIL import Image

from imagier_server.decode import cicp, icc
from imagier_server.decode.cicp import Cicp
from imagier_server.decode.refusals import RefusedError

_BITS_PER_SAMPLE, _PHOTOMETRIC, _MAX_SAMPLE_VALUE = 258, 262, 281  # TIFF 6.0
_WHITE_IS_ZERO = 0
# Light lettering on transparency would vanish on white paper.
_LIGHT = 200


def to_rgb(opened: Image.Image, profile: bytes | None, named: Cicp | None, target: tuple[int, int]) -> Image.Image:
    """Convert the loaded picture to RGB of size `target`, with colours from its profile or code points.

    Raises `RefusedError` for infinite or NaN values.
    """
    picture: Image.Image = opened
    if picture.mode.startswith(("I", "F")):
        picture = _to_eight_bits(picture)
    if picture.mode in {"P", "PA", "1"} or "transparency" in picture.info:
        # Shrinking makes shades that the palette lacks.
        picture = picture.convert("RGBA" if picture.mode == "PA" or "transparency" in picture.info else "RGB")
    if picture.mode in {"LA", "La", "RGBa"}:
        picture = picture.convert("RGBA")
    if picture.size != target:
        picture = picture.resize(target, Image.Resampling.BICUBIC, reducing_gap=None)
    named = named or (cicp.of_profile(profile) if profile else None)
    if named and (named.is_hdr or not profile) and picture.mode != "CMYK":
        picture = cicp.to_srgb(picture, named)
    elif profile and picture.mode in {"RGB", "RGBA", "CMYK", "L"}:
        picture = icc.to_srgb(picture, profile)
    if picture.mode == "RGBA":
        picture = _on_paper(picture)
    return picture.convert("RGB")


def _to_eight_bits(picture: Image.Image) -> Image.Image:
    """Scale 16-bit greys from their format's range, 32-bit and float greys from 0-1, 0-255 or the range present."""
    # First, because Pillow finds no extrema of 16-bit big-endian pixels.
    greys = picture.convert("F")
    low, high = greys.getextrema()
    if not (isinstance(low, int | float) and isinstance(high, int | float) and isfinite(low) and isfinite(high)):
        raise RefusedError("the picture's pixel values are infinite or NaN")
    if picture.mode.startswith("I;16"):
        low, high = 0, _white(picture, int(high))
    elif low >= 0 and high <= 1:
        low, high = 0, 1
    elif low >= 0 and high <= 255:
        low, high = 0, 255
    span = (high - low) or 1
    scaled = greys.point(lambda value: value * (255 / span) - low * 255 / span).convert("L")
    if getattr(picture, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        return scaled.point(lambda value: 255 - value)
    return scaled


def _white(picture: Image.Image, highest: int) -> int:
    """White of a 16-bit grey: 65535, or what the TIFF states (12-bit cameras and scanners) if no pixel is lighter."""
    tags = getattr(picture, "tag_v2", {})
    (bits,) = tags.get(_BITS_PER_SAMPLE, (16,))
    match tags.get(_MAX_SAMPLE_VALUE):
        case (int(value), *_) if max(highest, 1) <= value < 2**bits:
            return value
    return int(2**bits - 1)


def _on_paper(picture: Image.Image) -> Image.Image:
    """Composite a transparent picture on white, or on black if its visible part is nearly white."""
    alpha = picture.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return picture.convert("RGB")
    visible = picture.convert("L").histogram(alpha.point(lambda value: 255 if value > 127 else 0))
    mean = sum(level * count for level, count in enumerate(visible)) / (sum(visible) or 1)
    paper = Image.new("RGBA", picture.size, "black" if mean >= _LIGHT else "white")
    return Image.alpha_composite(paper, picture).convert("RGB")
