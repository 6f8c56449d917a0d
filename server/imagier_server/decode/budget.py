# SPDX-License-Identifier: Apache-2.0
"""Estimates from the header how much memory a decode needs, because a codec that runs out of memory calls the file damaged."""

from __future__ import annotations

from math import ceil

from PIL import Image, JpegImagePlugin, TiffImagePlugin

from imagier_server.decode.formats import Format
from imagier_server.decode.refusals import Caps, TooLargeError

# Bytes per pixel, the maximum measured (benchmarks/worst_picture.py).
_CODEC = {Format.WEBP: 16, Format.AVIF: 14, Format.HEIC: 14, Format.JPEG2000: 16}
"""While a format's codec holds the picture; other codecs write into Pillow's buffer directly."""
_LOADED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}
_OTHER_MODE = 4
_BESIDE = {"1": 4, "P": 4, "PA": 4, "LA": 4, "La": 4, "RGBA": 4, "I;16": 1, "I;16B": 1, "I": 1, "F": 1}
"""Beside the loaded picture while it is shrunk: the converted picture, or the copy for its transparency."""
_DEEP = 8
"""Beside the loaded picture while it is converted to 8 bits."""
_SHRUNK = 16
_BASE = 64 << 20
_COEFFICIENT = 2


def check(
    opened: Image.Image, fmt: Format, full: tuple[int, int], target: tuple[int, int], file: int, caps: Caps
) -> None:
    """Raise `TooLargeError` if decoding would exceed a decoder's memory.

    `full` is its size, `opened` the picture as it will be loaded, `target` the size to shrink to, `file` the file's bytes.
    """
    pixels = opened.width * opened.height
    loaded = pixels * _LOADED.get(opened.mode, _OTHER_MODE)
    codec = pixels * _CODEC.get(fmt, 0) or loaded
    if isinstance(opened, JpegImagePlugin.JpegImageFile):
        codec += _coefficients(opened, full)
    elif isinstance(opened, TiffImagePlugin.TiffImageFile):
        codec += _segment(opened)
        # Pillow turns it while it loads.
        codec += loaded if opened.tag_v2.get(274, 1) != 1 else 0
    # Rows are shrunk first, then columns.
    shrinking = _OTHER_MODE * target[0] * opened.height + _SHRUNK * target[0] * target[1]
    shrinking += loaded + pixels * _BESIDE.get(opened.mode, 0)
    converting = loaded + pixels * _DEEP if opened.mode.startswith(("I", "F")) else 0
    need = _BASE + 2 * file + max(codec, converting, shrinking)
    if need > caps.memory:
        raise TooLargeError(
            f"decoding the picture takes about {ceil(need / 2**20)} MiB; decode_memory (IMAGIER_DECODE_MEMORY) "
            f"is {caps.memory >> 20} MiB"
        )


def _coefficients(opened: JpegImagePlugin.JpegImageFile, full: tuple[int, int]) -> int:
    """Bytes of the coefficients that libjpeg keeps for a picture of many scans, at any scale."""
    if not opened.info.get("progressive"):
        return 0
    factors = [(across, down) for _, across, down, _ in opened.layer]
    whole = max(across for across, _ in factors) * max(down for _, down in factors)
    return _COEFFICIENT * full[0] * full[1] * sum(across * down for across, down in factors) // (whole or 1)


def _segment(opened: TiffImagePlugin.TiffImageFile) -> int:
    """Bytes of the largest strip or tile, uncompressed."""
    tags = opened.tag_v2
    width, height = opened.tag_v2[256], opened.tag_v2[257]
    across, down = tags.get(322, width), tags.get(323, min(tags.get(278, height), height))
    return int(across * down * sum(tags.get(258, (1,)))) // 8
