# SPDX-License-Identifier: Apache-2.0
"""Checks a JPEG 2000 file's header and tiles, and shrinks while decoding.

ITU-T T.800, annex A for the codestream, annex I for the file around it.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from PIL import Jpeg2KImagePlugin

from imagier_server.decode.refusals import Caps, RefusedError, TooLargeError

_START = b"\xff\x4f\xff\x51"
_SIZE, _STYLE, _TILE_PART, _END = 0xFF51, 0xFF52, 0xFF90, b"\xff\xd9"
_MOST_MARKERS = 4096
_MOST_BOXES = 4096
_MOST_HEADER = 1 << 20
"""Bytes before the codestream, which may hold a profile, or half a million boxes."""
_MOST_COMPONENTS = 4
MOST_TILES = 10_000
MOST_TILE_PARTS = 1 << 16
MOST_PACKETS = 1 << 20
"""Precincts times layers; even an empty packet costs time."""
MOST_TILE_SAMPLES = 240_000_000
"""Samples of a tile, which is decoded as a whole at four bytes and more per sample: 80 million RGB pixels."""
_BROKEN = "the JPEG 2000 file is damaged or truncated"


class Codestream(NamedTuple):
    """The picture and its tile grid on their common canvas; the number of halvings; the maximum packets of a tile."""

    right: int
    bottom: int
    left: int
    top: int
    tile_width: int
    tile_height: int
    tile_left: int
    tile_top: int
    components: int
    halvings: int
    packets: int

    @property
    def tiles(self) -> tuple[int, int]:
        """Horizontal, vertical."""
        return -(-(self.right - self.tile_left) // self.tile_width), -(
            -(self.bottom - self.tile_top) // self.tile_height
        )


def judge(image: bytes, caps: Caps) -> bytes:
    """The file that Pillow is to open. Raises `RefusedError`."""
    try:
        stream, first = _codestream(image)
        width, height = stream.right - stream.left, stream.bottom - stream.top
        if not (
            width > 0 and height > 0 and stream.tile_width and stream.tile_height and all(n > 0 for n in stream.tiles)
        ):
            raise RefusedError(_BROKEN)
        caps.check(width, height)
        if stream.components > _MOST_COMPONENTS:
            raise RefusedError("a JPEG 2000 file with more than four components is not read: convert it to RGB")
        across, down = stream.tiles
        if across * down > MOST_TILES:
            raise TooLargeError(f"the JPEG 2000 file has more than {MOST_TILES} tiles")
        if stream.packets * across * down > MOST_PACKETS:
            raise TooLargeError(f"the JPEG 2000 file has more than {MOST_PACKETS} packets")
        end = _end_of_tiles(image, first, across * down)
    except (struct.error, IndexError):
        raise RefusedError(_BROKEN) from None
    return image + _END if end == len(image) else image


def load(opened: Jpeg2KImagePlugin.Jpeg2KImageFile, image: bytes, target: tuple[int, int]) -> None:
    """Load the pixels, halved by the decoder as often as possible, but not below `target`. Raises `RefusedError`."""
    stream, _ = _codestream(image)
    if opened.size != (stream.right - stream.left, stream.bottom - stream.top):  # the boxes around the codestream
        raise RefusedError(_BROKEN)
    halvings = 0
    for times in range(1, stream.halvings + 1):
        part = 1 << times
        size = -(-opened.width // part), -(-opened.height // part)
        # Pillow computes the reduced size without offsets, so correct it.
        right = size == tuple((side + part // 2) // part for side in opened.size) and not any(
            place % part for place in (stream.left, stream.top, stream.tile_left, stream.tile_top)
        )
        if right and size[0] >= target[0] and size[1] >= target[1]:
            halvings = times
    tile = min(opened.width, stream.tile_width) * min(opened.height, stream.tile_height)
    if (tile * stream.components) >> (2 * halvings) > MOST_TILE_SAMPLES:
        raise TooLargeError("a tile of the JPEG 2000 file needs more memory than a decoder may use")
    opened.reduce = halvings
    opened.load()


def _codestream(image: bytes) -> tuple[Codestream, int]:
    """Parse the main header; return it and the offset of the first tile-part."""
    begin = 0 if image.startswith(_START) else _find(image)
    at, stream = begin + 2, None
    for _ in range(_MOST_MARKERS):
        marker, length = struct.unpack_from(">HH", image, at)
        if marker == _TILE_PART and stream:
            return stream, at
        if marker == _SIZE:
            # A.5.1: capabilities, then the canvas, and the tiles on it.
            canvas = struct.unpack_from(">8IH", image, at + 6)
            stream = Codestream._make((*canvas, 0, 1))
        elif marker == _STYLE and stream:
            stream = stream._replace(halvings=min(image[at + 9], 32), packets=_packets(image, at, stream))
        at += 2 + max(length, 2)
    raise RefusedError(_BROKEN)


def _find(image: bytes) -> int:
    """Offset of the first codestream among the boxes."""
    at = 0
    for _ in range(_MOST_BOXES):
        size, kind = struct.unpack_from(">I4s", image, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", image, at + 8)
            head = 16
        if kind == b"jp2c" and image.startswith(_START, at + head):
            return at + head
        if kind == b"jp2h" and size > _MOST_HEADER:
            raise TooLargeError("the JPEG 2000 file has too many bytes outside its pixels")
        if size < head:
            break
        at += size
    raise RefusedError(_BROKEN)


def _packets(image: bytes, at: int, stream: Codestream) -> int:
    """Maximum packets of a tile (A.6.1): precincts of all resolutions and components, times layers."""
    own_sizes, layers, levels = image[at + 4] & 1, int.from_bytes(image[at + 6 : at + 8]), image[at + 9]
    width = min(stream.tile_width, stream.right - stream.left)
    height = min(stream.tile_height, stream.bottom - stream.top)
    count = 0
    for resolution in range(min(levels, 32) + 1):
        size = image[at + 14 + resolution] if own_sizes else 0xFF
        part = min(levels, 32) - resolution
        count += ((width >> part >> (size & 15)) + 2) * ((height >> part >> (size >> 4)) + 2)
    return count * stream.components * layers


def _end_of_tiles(image: bytes, at: int, tiles: int) -> int:
    """Find the end of the last tile-part. Raises `RefusedError` if one exceeds the file, or a tile has none."""
    seen = set[int]()
    for _ in range(MOST_TILE_PARTS):
        marker = int.from_bytes(image[at : at + 2])
        if marker != _TILE_PART:
            break
        tile, length = struct.unpack_from(">HI", image, at + 4)
        seen.add(tile)
        # The last one may have no length; it then reaches to the end marker.
        at = at + length if length else max(at + 12, image.rfind(_END))
        if at > len(image) or 0 < length < 12:
            raise RefusedError(_BROKEN)
    else:
        raise TooLargeError(f"the JPEG 2000 file has more than {MOST_TILE_PARTS} tile-parts")
    if len(seen) < tiles:
        raise RefusedError(_BROKEN)
    return at
