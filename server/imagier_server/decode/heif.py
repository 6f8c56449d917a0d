# SPDX-License-Identifier: Apache-2.0
"""Works around pi-heif 1.4 and libheif 1.23.

pi-heif crashes on item names that are not UTF-8. libheif refuses a crop (`clap`) that keeps much less than was coded.
"""

from __future__ import annotations

import re
import struct
from codecs import utf_8_decode
from fractions import Fraction
from math import floor

from imagier_server.decode import holes
from imagier_server.decode.bmff import coded_extents, primary_properties
from imagier_server.decode.refusals import Caps, RefusedError

# ISO/IEC 14496-12, 8.11.6: version, flags, number and protection; then the type and further names up to the box's end.
_ITEM = re.compile(rb"infe(?=(\x02.{7}|\x03.{9}))", re.DOTALL)
_LONGEST = 1024
_CROP = struct.Struct("!IIIIiIiI")
_SPARE = 64
Box = tuple[int, int, int, int]
"""Left, upper, right, lower, as in Pillow."""


def has_unnamable_items(image: bytes) -> bool:
    """Whether an item's type or name in `image` is not UTF-8."""
    for found in _ITEM.finditer(image):
        begin = max(found.start() - 4, 0)
        end = begin + int.from_bytes(image[begin : found.start()])
        try:
            utf_8_decode(image[found.end(1) : min(end, found.end(1) + _LONGEST)], "strict", False)
        except UnicodeDecodeError:
            return True
    return False


def uncropped(image: bytes) -> tuple[bytes, Box | None]:
    """Return the file without the crop (`clap`) that libheif refuses, and the box to keep of its upright picture (`None`: all)."""
    properties = primary_properties(image)
    crops = [content for kind, content in properties if kind == b"clap"]
    sizes = [content for kind, content in properties if kind == b"ispe"]
    if len(crops) != 1 or len(sizes) != 1 or len(crops[0]) != _CROP.size or len(sizes[0]) != 12:
        return image, None
    width, height = struct.unpack("!4xII", sizes[0])
    box = (0, 0, width, height)
    # Each applies to the result of the previous one (ISO/IEC 23008-12, 6.5).
    for kind, content in properties:
        if kind == b"clap":
            box = _kept(width, height, content)
            if (box[2] - box[0] + _SPARE) * (box[3] - box[1] + _SPARE) >= _padded(width) * _padded(height):
                return image, None
            whole = _CROP.pack(width, 1, height, 1, 0, 1, 0, 1)
        elif kind == b"irot" and content:
            for _ in range(content[0] & 3):  # anticlockwise
                left, top, right, bottom = box
                box = (top, width - right, bottom, width - left)
                width, height = height, width
        elif kind == b"imir" and content:
            left, top, right, bottom = box
            box = (
                (width - right, top, width - left, bottom)
                if content[0] & 1
                else (left, height - bottom, right, height - top)
            )
    return image.replace(b"clap" + crops[0], b"clap" + whole), box


def _padded(side: int) -> int:
    """The side of a coded picture, rounded up to whole blocks."""
    return -(-side // _SPARE) * _SPARE


def _kept(width: int, height: int, content: bytes) -> Box:
    """The box that a CleanApertureBox keeps of a picture (ISO/IEC 14496-12, 12.1.4)."""
    across, across_by, down, down_by, right, right_by, below, below_by = _CROP.unpack(content)
    if not (across_by and down_by and right_by and below_by):
        raise RefusedError("the HEIC file is damaged: its crop has a zero denominator")
    kept = []
    for whole, part, moved in (
        (width, Fraction(across, across_by), Fraction(right, right_by)),
        (height, Fraction(down, down_by), Fraction(below, below_by)),
    ):
        begin = moved + Fraction(whole - 1, 2) - (part - 1) / 2
        kept.append((max(0, floor(begin)), min(whole, floor(begin + part - 1) + 1)))
    (left, end), (top, bottom) = kept
    if left >= end or top >= bottom:
        raise RefusedError("the HEIC file is damaged: its crop is empty")
    return left, top, end, bottom


def judge(image: bytes, caps: Caps) -> bytes:
    """The file that Pillow is to open. Raises `RefusedError`."""
    if has_unnamable_items(image):
        raise RefusedError("the HEIC file is damaged: an item's name is not UTF-8")
    return check_extents(image, caps)


def check_extents(image: bytes, caps: Caps) -> bytes:
    """Return the file. Raises `RefusedError` if the coded pixels of an AVIF or HEIC file have a hole."""
    del caps
    for begin, end in coded_extents(image):
        holes.check(image, begin, end)
    return image
