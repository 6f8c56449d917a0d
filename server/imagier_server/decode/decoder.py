# SPDX-License-Identifier: Apache-2.0
"""Decodes one picture with Pillow: header caps, shrink on load, first frame, EXIF orientation, alpha, sRGB. Runs in a worker."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

from PIL import Image, ImageCms

from imagier_server.decode.formats import Format
from imagier_server.decode.heif import has_unnamable_items
from imagier_server.decode.jpeg import has_more_scans
from imagier_server.decode.webp import announced

_PILLOW_FORMATS = {
    Format.JPEG: "JPEG",
    Format.PNG: "PNG",
    Format.WEBP: "WEBP",
    Format.GIF: "GIF",
    Format.TIFF: "TIFF",
    Format.AVIF: "AVIF",
    Format.HEIC: "HEIF",
}
_ORIENTATION = 0x0112
_BITS_PER_SAMPLE, _MAX_SAMPLE_VALUE = 258, 281  # TIFF 6.0
_SIDEWAYS = {5, 6, 7, 8}
_UPRIGHT = {  # EXIF 2.32, tag 0x0112
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
MOST_PASSES = 20
"""Over the most pixels allowed. Each scan of a JPEG is one over its picture, and encoders write about ten."""
# Light lettering on transparency would vanish on white paper.
_LIGHT = 200


class RefusedError(Exception):
    """The picture is refused; the text is one of our fixed sentences."""


class TooLargeError(RefusedError):
    """The picture exceeds a cap; found in its header, before any pixel is decoded."""


def load_codecs() -> None:
    """Imports what Pillow would import at the first picture of a format, and sets its limits. Once, before `decode`."""
    # Not above: the gateway knows this module too, and decodes nothing itself.
    import pi_heif  # noqa: PLC0415
    from PIL import AvifImagePlugin, MpoImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401, PLC0415

    Image.preinit()  # the other formats; MPO is what phones write, a JPEG with a second frame
    # The parallelism is ours, picture by picture.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    pi_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    # Our own caps speak first, and on every format; Pillow's warning is for code that has none.
    Image.MAX_IMAGE_PIXELS = None
    warnings.simplefilter("ignore")


@dataclass(frozen=True, slots=True)
class Caps:
    """What a header may announce: most pixels, longest side."""

    pixels: int
    side: int


def decode(image: bytes, fmt: Format, caps: Caps, scale: Callable[[int, int], float]) -> tuple[Image.Image, int, int]:
    """The upright picture as RGB, shrunk to `scale(width, height)` of its size, and its full upright width and height.

    `scale` answers 0 < s ≤ 1 for the upright size in pixels. Raises `RefusedError`, or whatever Pillow raises on a broken file.
    """
    if fmt is Format.WEBP and (size := announced(image)):
        _check(size, caps)
    if fmt is Format.HEIC and has_unnamable_items(image):
        raise RefusedError("an item of the HEIC file has a name that is no text")
    with Image.open(io.BytesIO(image), formats=[_PILLOW_FORMATS[fmt]]) as opened:
        _check(opened.size, caps)
        if fmt is Format.JPEG and has_more_scans(image, MOST_PASSES * caps.pixels // (opened.width * opened.height)):
            raise TooLargeError("the JPEG file has too many scans for its size")
        # Pillow itself turns a TIFF while loading, and announces the size that it will then have.
        orientation = 1 if fmt is Format.TIFF else _orientation(opened)
        width, height = opened.size[::-1] if orientation in _SIDEWAYS else opened.size
        wanted = scale(width, height)
        target = (max(1, round(opened.width * wanted)), max(1, round(opened.height * wanted)))
        opened.draft(None, target)  # JPEG only: the decoder itself shrinks by 2, 4 or 8, never below the target
        opened.load()
        profile = opened.info.get("icc_profile")
        picture = _to_rgb(opened, profile if isinstance(profile, bytes) else None, target)
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
    return picture, width, height


def _check(size: tuple[int, int], caps: Caps) -> None:
    width, height = size
    if max(size) > caps.side:
        raise TooLargeError(f"a side of the picture is longer than {caps.side} pixels")
    if width * height > caps.pixels:
        raise TooLargeError(f"the picture has more than {caps.pixels} pixels")


def _orientation(opened: Image.Image) -> int:
    """EXIF's orientation, 1 to 8. What is broken or lies beyond says nothing, and the pixels are read as they are."""
    try:
        value = opened.getexif().get(_ORIENTATION)
    except Exception:  # noqa: BLE001 - Pillow raises anything on broken metadata
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _to_rgb(opened: Image.Image, profile: bytes | None, target: tuple[int, int]) -> Image.Image:
    picture: Image.Image = opened
    if picture.mode.startswith(("I", "F")):
        picture = _to_eight_bits(picture)
    if picture.mode in {"P", "PA", "1"} or "transparency" in picture.info:
        # Shades between two palette entries exist only outside the palette.
        picture = picture.convert("RGBA" if picture.mode == "PA" or "transparency" in picture.info else "RGB")
    if picture.mode in {"LA", "La", "RGBa"}:
        picture = picture.convert("RGBA")
    if picture.size != target:
        picture = picture.resize(target, Image.Resampling.BICUBIC, reducing_gap=None)
    if profile and picture.mode in {"RGB", "RGBA", "CMYK", "L"}:
        picture = _to_srgb(picture, profile)
    if picture.mode == "RGBA":
        picture = _on_paper(picture)
    return picture.convert("RGB")


def _to_eight_bits(picture: Image.Image) -> Image.Image:
    """Greys of 16 bits from the range of their format; of 32 bits and float from 0 to 1, 0 to 255 or what is there."""
    # First, as Pillow finds no extrema of 16 bits in big endian.
    greys = picture.convert("F")
    low, high = greys.getextrema()
    if not (isinstance(low, int | float) and isinstance(high, int | float) and isfinite(low) and isfinite(high)):
        raise RefusedError("the picture's values are not numbers")
    if picture.mode.startswith("I;16"):
        low, high = 0, _white(picture, int(high))
    elif low >= 0 and high <= 1:
        low, high = 0, 1
    elif low >= 0 and high <= 255:
        low, high = 0, 255
    span = (high - low) or 1
    return greys.point(lambda value: value * (255 / span) - low * 255 / span).convert("L")


def _white(picture: Image.Image, highest: int) -> int:
    """Of a 16-bit grey: 65535, or what a TIFF says of itself as 12-bit cameras and scanners do, if no pixel is lighter."""
    tags = getattr(picture, "tag_v2", {})
    (bits,) = tags.get(_BITS_PER_SAMPLE, (16,))
    match tags.get(_MAX_SAMPLE_VALUE):
        case (int(value), *_) if max(highest, 1) <= value < 2**bits:
            return value
    return int(2**bits - 1)


def _to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Colours as the profile means them. A broken profile is ignored, as browsers do."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return picture
        mode = "RGBA" if picture.mode == "RGBA" else "RGB"
        converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture
    return converted if converted is not None else picture


def _on_paper(picture: Image.Image) -> Image.Image:
    """Lays a transparent picture on white, or on black where what is visible is itself nearly white."""
    alpha = picture.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return picture.convert("RGB")
    visible = picture.convert("L").histogram(alpha.point(lambda value: 255 if value > 127 else 0))
    mean = sum(level * count for level, count in enumerate(visible)) / (sum(visible) or 1)
    paper = Image.new("RGBA", picture.size, "black" if mean >= _LIGHT else "white")
    return Image.alpha_composite(paper, picture).convert("RGB")
