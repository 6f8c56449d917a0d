# SPDX-License-Identifier: Apache-2.0
"""Converts colours to sRGB by the file's ICC profile, with LittleCMS."""

from __future__ import annotations

import hashlib
import io
from collections import OrderedDict

from PIL import Image, ImageChops, ImageCms

_NEAR = 4
"""Levels of 255 by which an sRGB profile may move a colour, because of rounding."""
_LEVELS = (0, 16, 40, 80, 128, 176, 216, 255)
_SRGB = ImageCms.createProfile("sRGB")
_MOST_KNOWN = 64
_known: OrderedDict[bytes, bool] = OrderedDict()
"""Whether a profile that claims to be sRGB is, by its digest; no profile is kept."""


def to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Convert an RGB, RGBA, CMYK or L picture to sRGB. Damaged profiles and those for other modes are ignored, as in browsers."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source) and _is_srgb(source, profile, picture.mode):
            return picture
        mode = "RGBA" if picture.mode == "RGBA" else "RGB"
        converted = ImageCms.profileToProfile(picture, source, _SRGB, outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture
    return converted if converted is not None else picture


def _is_srgb(source: ImageCms.ImageCmsProfile, profile: bytes, mode: str) -> bool:
    """Whether a profile named sRGB leaves colours unchanged: linear profiles have that name, too."""
    mode = "L" if mode == "L" else "RGB"
    digest = hashlib.sha256(mode.encode() + profile).digest()
    if digest not in _known:
        _known[digest] = _leaves_colours(source, mode)
        if len(_known) > _MOST_KNOWN:
            _known.popitem(last=False)
    _known.move_to_end(digest)
    return _known[digest]


def _leaves_colours(source: ImageCms.ImageCmsProfile, mode: str) -> bool:
    if mode == "L":
        probe = Image.frombytes("L", (len(_LEVELS), 1), bytes(_LEVELS))
    else:
        colours = bytes(
            level for red in _LEVELS for green in _LEVELS for blue in _LEVELS for level in (red, green, blue)
        )
        probe = Image.frombytes("RGB", (len(_LEVELS) ** 3, 1), colours)
    # Not the perceptual intent as for pictures: version 4 profiles have tables for it that move colours.
    shown = ImageCms.profileToProfile(
        probe, source, _SRGB, renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB"
    )
    if shown is None:
        return False
    moved = ImageChops.difference(shown, probe.convert("RGB"))
    return not moved.point(lambda value: 255 if value > _NEAR else 0).getbbox()
