# SPDX-License-Identifier: Apache-2.0
"""Writes a HEIC file: HEVC whose blocks are plain samples (PCM), so that no encoder is needed and every pixel is known.

ITU-T H.265 (2019), sections 7.3 and 9.3; ISO/IEC 23008-12 for the file. Sides are multiples of 32: each block is its own slice,
so that the arithmetic coder never leaves its first state.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
from PIL import Image

BLOCK = 32
VPS, SPS, PPS, IDR = 32, 33, 34, 19
NO_EXIF = b"Exif\0\0MM\0*\0\0\0\x08" + bytes(6)
"""A directory without entries."""


class Bits:
    """A bit string under construction."""

    def __init__(self) -> None:
        self.bits: list[int] = []

    def u(self, width: int, *values: int) -> Bits:
        for value in values:
            self.bits += [(value >> place) & 1 for place in reversed(range(width))]
        return self

    def ue(self, *values: int) -> Bits:
        """Exponential-Golomb codes; those of a signed 0 are the same."""
        for value in values:
            length = (value + 1).bit_length()
            self.u(2 * length - 1, value + 1)
        return self

    def aligned(self, first: int = 0) -> bytes:
        """As bytes, filled up with `first` and zeros."""
        self.u(1, *[first] * (first == 1))
        self.bits += [0] * (-len(self.bits) % 8)
        return bytes(np.packbits(np.array(self.bits, np.uint8)))


def heic(  # noqa: PLR0913, PLR0917 - a file has so many things to vary
    picture: Image.Image,
    turns: int = 0,
    announced: tuple[int, int] | None = None,
    grid: tuple[int, int] | None = (1, 1),
    exif: bytes = NO_EXIF,
    colours: tuple[int, int] = (1, 13),
    changes: Sequence[bytes] | None = None,
) -> bytes:
    """The file; `turns` are quarter turns anticlockwise to show it with, `announced` is the size that its header claims.

    `grid` is how often the picture is repeated across and down: a telephone's camera cuts its pictures so, into different tiles;
    `None` makes the coded picture itself the whole.
    `exif` is a block of metadata with its `Exif` mark. `colours` are code points of primaries and transfer characteristics.
    `changes` are boxes of `crop`, `turn` and `mirror` in the order in which they apply, instead of `turns`.
    """
    parameters = [_nal(VPS, _vps()), _nal(SPS, _sps(*picture.size)), _nal(PPS, _pps())]
    coded = b"".join(struct.pack("!I", len(nal)) + nal for nal in _slices(picture))
    across, down = grid or (1, 1)
    whole = announced or (picture.width * across, picture.height * down)
    layout = struct.pack("!BBBBII", 0, 1, down - 1, across - 1, *whole)
    changes = [turn(turns)] if changes is None else changes
    properties = [
        _hvcc(parameters),
        _box(b"ispe", struct.pack("!III", 0, *picture.size)),
        _box(b"ispe", struct.pack("!III", 0, *whole)),
        _box(
            b"colr", b"nclx" + struct.pack("!HHHB", *colours, 6, 0x80)
        ),  # BT.601 over the full range, as Pillow's YCbCr
        *changes,
    ]
    # The last item is the picture, a grid of the others, which all lie in the same place.
    tiles = range(1, across * down + 1) if grid else []
    last = len(tiles) + 1
    metadata = struct.pack("!I", 6) + exif  # where its TIFF header begins
    places = [*((tile, 0, len(coded)) for tile in tiles)]
    places += [(last, len(coded), len(layout)) if grid else (last, 0, len(coded))]
    places += [(last + 1, len(coded) + len(layout), len(metadata))]
    of_a_tile, described = bytes([3, 0x81, 2, 4]), [3, 4] if grid else [0x81, 3, 4]
    described += [0x85 + number for number in range(len(changes))]
    of_the_picture = bytes([len(described), *described])
    associations = [struct.pack("!H", tile) + of_a_tile for tile in tiles] + [struct.pack("!H", last) + of_the_picture]
    tiled = _box(b"dimg", struct.pack(f"!HH{len(tiles)}H", last, len(tiles), *tiles)) if grid else b""
    meta = [
        _box(b"hdlr", struct.pack("!II4s12xx", 0, 0, b"pict")),
        _box(b"pitm", struct.pack("!IH", 0, last)),
        # Version 1, offsets and lengths of 4 bytes; the items lie in the box `idat`.
        _box(
            b"iloc",
            struct.pack("!IHH", 1 << 24, 0x4400, len(places))
            + b"".join(struct.pack("!HHHHII", item, 1, 0, 1, offset, size) for item, offset, size in places),
        ),
        _box(
            b"iinf",
            struct.pack("!IH", 0, len(places))
            + b"".join(_item(tile, b"hvc1") for tile in tiles)
            + _item(last, b"grid" if grid else b"hvc1")
            + _item(last + 1, b"Exif"),
        ),
        _box(
            b"iref",
            bytes(4) + tiled + _box(b"cdsc", struct.pack("!HHH", last + 1, 1, last)),
        ),
        _box(
            b"iprp",
            _box(b"ipco", b"".join(properties)) + _box(b"ipma", struct.pack("!II", 0, last) + b"".join(associations)),
        ),
        _box(b"idat", coded + layout + metadata),
    ]
    return _box(b"ftyp", b"heic\0\0\0\0mif1heic") + _box(b"meta", bytes(4) + b"".join(meta))


def turn(turns: int) -> bytes:
    """Quarter turns anticlockwise."""
    return _box(b"irot", bytes([turns % 4]))


def mirror(axis: int) -> bytes:
    """0 puts the top at the bottom, 1 the left at the right."""
    return _box(b"imir", bytes([axis]))


def crop(size: tuple[int, int], middle: tuple[Fraction | int, Fraction | int] = (0, 0)) -> bytes:
    """A clean aperture of this size; its middle is so far from the picture's."""
    across, down = (Fraction(value) for value in middle)
    fractions = (size[0], 1, size[1], 1, *across.as_integer_ratio(), *down.as_integer_ratio())
    return _box(b"clap", struct.pack("!IIIIiIiI", *fractions))


def _item(number: int, kind: bytes) -> bytes:
    return _box(b"infe", struct.pack("!IHH4sx", 2 << 24, number, 0, kind))


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack("!I4s", 8 + len(content), kind) + content


def _nal(kind: int, payload: bytes) -> bytes:
    """With the bytes that keep a start code from appearing by chance."""
    escaped, zeros = bytearray(), 0
    for byte in payload:
        if zeros == 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes([kind << 1, 1]) + bytes(escaped)


def _profile(bits: Bits) -> Bits:
    """Main Still Picture, level 6.2."""
    return bits.u(8, 3).u(32, 0x70000000).u(4, 0b1001).u(44, 0).u(8, 186)


def _vps() -> bytes:
    bits = Bits().u(4, 0).u(1, 1, 1).u(6, 0).u(3, 0).u(1, 1).u(16, 0xFFFF)
    return _profile(bits).u(1, 1).ue(0, 0, 0).u(6, 0).ue(0).u(1, 0, 0).aligned(1)


def _sps(width: int, height: int) -> bytes:
    bits = _profile(Bits().u(4, 0).u(3, 0).u(1, 1)).ue(0, 1, width, height).u(1, 0).ue(0, 0, 0).u(1, 1).ue(0, 0, 0)
    # Blocks of 32 only, transforms of 4 to 32; no scaling lists, no AMP, no SAO.
    bits.ue(2, 0, 0, 3, 0, 0).u(1, 0, 0, 0)
    # PCM of 8 bits in blocks of 32, not filtered.
    bits.u(1, 1).u(4, 7, 7).ue(2, 0).u(1, 1)
    return bits.ue(0).u(1, 0, 0, 0, 0, 0).aligned(1)


def _pps() -> bytes:
    bits = Bits().ue(0, 0).u(1, 0, 0).u(3, 0).u(1, 0, 0).ue(0, 0, 0).u(1, 0, 0, 0).ue(0, 0).u(1, *[0] * 7)
    # No deblocking.
    return bits.u(1, 1, 0, 1).u(1, 0, 0).ue(0).u(1, 0, 0).aligned(1)


def _hvcc(parameters: Iterable[bytes]) -> bytes:
    head = bytes([1, 3]) + struct.pack("!I", 0x70000000) + bytes([0x90, 0, 0, 0, 0, 0, 186])
    head += bytes([0xF0, 0, 0xFC, 0xFD, 0xF8, 0xF8, 0, 0, 0x0F, 3])
    arrays = (bytes([0x80 | nal[0] >> 1]) + struct.pack("!HH", 1, len(nal)) + nal for nal in parameters)
    return _box(b"hvcC", head + b"".join(arrays))


def _slices(picture: Image.Image) -> Iterable[bytes]:
    luma, blue, red = (np.asarray(plane) for plane in picture.convert("YCbCr").split())
    height, width = luma.shape
    address_bits = ((height // BLOCK) * (width // BLOCK) - 1).bit_length()
    for number, (top, left) in enumerate(np.ndindex(height // BLOCK, width // BLOCK)):
        block = np.s_[top * BLOCK : (top + 1) * BLOCK, left * BLOCK : (left + 1) * BLOCK]
        samples = luma[block].tobytes() + b"".join(plane[block][::2, ::2].tobytes() for plane in (blue, red))
        header = Bits().u(1, number == 0, 0).ue(0)
        if number:
            header.u(address_bits, number)
        header.ue(2, 0)
        coded = header.aligned(1) + _flushed(510 - 240 - 2) + samples + _flushed(510 - 2)
        yield _nal(IDR, coded)


def _flushed(low: int) -> bytes:
    """The arithmetic coder's last bits after a final bin; `low` is what it holds (9.3.4.5: 240 is the first state's LPS range)."""
    bits, outstanding, first = Bits(), 0, True

    def put(bit: int) -> None:
        nonlocal outstanding, first
        if not first:
            bits.u(1, bit)
        first = False
        bits.u(1, *[1 - bit] * outstanding)
        outstanding = 0

    for _ in range(7):
        if low < 256:
            put(0)
        elif low >= 512:
            low -= 512
            put(1)
        else:
            low -= 256
            outstanding += 1
        low <<= 1
    put(low >> 9 & 1)
    bits.u(2, low >> 7 & 3 | 1)
    return bits.aligned()
