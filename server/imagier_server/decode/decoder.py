# SPDX-License-Identifier: Apache-2.0
"""Decodes one picture with Pillow: check, open, load once, rotate upright, convert to sRGB. Runs in a worker.

Each format has a module of its own. `load` is called only here, or damage would go unnoticed.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import NamedTuple

from PIL import Image, Jpeg2KImagePlugin, JpegImagePlugin, UnidentifiedImageError

from imagier_server.decode import bmff, bmp, budget, cicp, gif, heif, jpeg, jpeg2000, png, tiff, webp
from imagier_server.decode.cicp import Cicp
from imagier_server.decode.colour import to_rgb
from imagier_server.decode.formats import Format
from imagier_server.decode.refusals import Caps

_PILLOW_FORMATS = {
    Format.JPEG: "JPEG",
    Format.PNG: "PNG",
    Format.WEBP: "WEBP",
    Format.GIF: "GIF",
    Format.TIFF: "TIFF",
    Format.AVIF: "AVIF",
    Format.HEIC: "HEIF",
    Format.BMP: "BMP",
    Format.JPEG2000: "JPEG2000",
}
_JUDGES: dict[Format, Callable[[bytes, Caps], bytes]] = {
    Format.JPEG: jpeg.judge,
    Format.PNG: png.judge,
    Format.GIF: gif.judge,
    Format.WEBP: webp.judge,
    Format.AVIF: heif.check_extents,
    Format.HEIC: heif.judge,
    Format.BMP: bmp.judge,
    Format.JPEG2000: jpeg2000.judge,
}
"""Checks a raw file before any parser; returns the file for Pillow to open. Raises `RefusedError`."""
_ORIENTATION = 0x0112
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


def load_codecs() -> None:
    """Import Pillow's format plugins and set its limits. Call once, before `decode`."""
    # Not at the top: the gateway imports this module too, but never decodes.
    import pi_heif  # noqa: PLC0415
    from PIL import AvifImagePlugin, MpoImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401, PLC0415

    Image.preinit()  # the other formats; MPO is what phones write, a JPEG with a second frame
    # Pictures are decoded in parallel, so a codec needs no threads.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    pi_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    # Our own limits apply first, and to every format.
    Image.MAX_IMAGE_PIXELS = None
    tiff.add_kinds()
    warnings.simplefilter("ignore")


class Decoded(NamedTuple):
    """The upright RGB picture, maybe shrunk, its full upright size, and the EXIF orientation by which it was turned upright.

    1 if it was not: formats that say themselves how they are turned are read so by every program.
    """

    picture: Image.Image
    width: int
    height: int
    orientation: int


def decode(image: bytes, fmt: Format, caps: Caps, scale: Callable[[int, int], float]) -> Decoded:
    """Decode the picture upright, shrunk to `scale(width, height)` of its size.

    `scale` returns 0 < s ≤ 1 for the upright size in pixels. Raises `RefusedError`, or whatever Pillow raises on a damaged file.
    """
    turned, box = 1, None
    if fmt is Format.TIFF:
        image, fmt, turned = tiff.page(image, caps)
    if fmt in _JUDGES:
        image = _JUDGES[fmt](image, caps)
    if fmt is Format.HEIC:
        image, box = heif.uncropped(image)
    with _opened(image, fmt) as opened:
        if fmt is Format.TIFF:
            tiff.turn_bytes(opened)
        caps.check(*opened.size)
        # Pillow rotates a TIFF while loading, and reports the rotated size.
        orientation = 1 if fmt is Format.TIFF else _orientation(opened, turned)
        left, top, right, bottom = box or (0, 0, *opened.size)
        across, down = right - left, bottom - top
        width, height = (down, across) if orientation in _SIDEWAYS else (across, down)
        wanted = scale(width, height)
        target = (max(1, round(across * wanted)), max(1, round(down * wanted)))
        full = opened.size
        opened.draft(None, target)  # JPEG only: the decoder itself shrinks by 2, 4 or 8, never below the target
        budget.check(opened, fmt, full, target, len(image), caps)
        if isinstance(opened, JpegImagePlugin.JpegImageFile):
            jpeg.load(opened, image)
        elif isinstance(opened, Jpeg2KImagePlugin.Jpeg2KImageFile):
            jpeg2000.load(opened, image, target)
        else:
            opened.load()
        if fmt is Format.PNG:
            png.check_rows(image, opened)
        profile, named = opened.info.get("icc_profile"), _code_points(image, fmt)
        if fmt is Format.PNG and named:
            profile = None  # the third edition: cICP goes first
        picture = tiff.as_meant(opened) if fmt is Format.TIFF else opened.crop(box) if box else opened
        picture = to_rgb(picture, profile if isinstance(profile, bytes) else None, named, target)
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
    return Decoded(picture, width, height, orientation)


def _opened(image: bytes, fmt: Format) -> Image.Image:
    """Open a picture by its header. Raises `RefusedError` for a valid file of an unsupported kind."""
    try:
        return Image.open(io.BytesIO(image), formats=[_PILLOW_FORMATS[fmt]])
    except (UnidentifiedImageError, KeyError):
        if fmt is Format.TIFF and (refused := tiff.what_is_not_read(image)):
            raise refused from None
        raise


def _code_points(image: bytes, fmt: Format) -> Cicp | None:
    """The colour code points that the file names, apart from a profile."""
    if fmt is Format.PNG:
        return cicp.of_png(image)
    if fmt in {Format.AVIF, Format.HEIC}:
        return cicp.of_properties(bmff.primary_properties(image))
    return None


def _orientation(opened: Image.Image, otherwise: int) -> int:
    """The EXIF orientation, 1 to 8; `otherwise` if it is damaged or out of range."""
    try:
        # Not the `getexif` of the format's own class: a PNG's loads the pixels and hides damage.
        value = Image.Image.getexif(opened).get(_ORIENTATION)
    except Exception:  # noqa: BLE001 - Pillow raises anything on damaged metadata
        return otherwise
    return value if isinstance(value, int) and 1 <= value <= 8 else otherwise
