# SPDX-License-Identifier: Apache-2.0
"""Writes TIFF files of every kind: byte orders, classic and Big, strips, tiles and planes, sample formats, trees of directories.

TIFF 6.0; BigTIFF as libtiff has it; SubIFDs as in Adobe's TIFF Tech Note 1.
"""

from __future__ import annotations

import io
import lzma
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, MAKE = 254, 255, 256, 257, 258, 259, 262, 271
OFFSETS, ORIENTATION, SAMPLES, ROWS, COUNTS, PLANAR = 273, 274, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 322, 323, 324, 325
SUB_DIRECTORIES, EXTRA, SAMPLE_FORMAT, JPEG_OFFSET, JPEG_LENGTH, SUBSAMPLING = 330, 338, 339, 513, 514, 530
DNG_VERSION = 50706
NONE, LZW, OLD_JPEG, JPEG, DEFLATE, PACKBITS, LZMA, WEBP = 1, 5, 6, 7, 8, 32773, 34925, 50001
WHITE_IS_ZERO, GREY, RGB, PALETTE, INKS, YCBCR, LAB, CFA = 0, 1, 2, 3, 5, 6, 8, 32803
NO_ALPHA, ASSOCIATED, UNASSOCIATED = 0, 1, 2
_FORMATS = {"u": 1, "i": 2, "f": 3}


@dataclass
class Page:
    """One directory: pixels (height, width, samples) of any NumPy type, and what is said of them."""

    pixels: np.ndarray
    photometric: int = GREY
    compression: int = NONE
    tile: tuple[int, int] | None = None
    """(width, height), or strips of `rows`."""
    rows: int = 0
    planar: bool = False
    tags: Mapping[int, int | Sequence[int] | bytes] = field(default_factory=dict)
    children: Sequence[Page] = ()
    """In its SubIFDs."""


def tiff(*pages: Page, order: str = "<", big: bool = False) -> bytes:
    """The file; `order` as in `struct`."""
    file = bytearray(struct.pack(f"{order}2s", b"II" if order == "<" else b"MM"))
    file += struct.pack(f"{order}HHHQ", 43, 8, 0, 0) if big else struct.pack(f"{order}HI", 42, 0)
    first = _chain(file, pages, order, big)
    struct.pack_into(f"{order}Q" if big else f"{order}I", file, 8 if big else 4, first)
    return bytes(file)


def segments(page: Page, order: str) -> list[bytes]:
    """The strips or tiles, compressed; of separate planes one after the other."""
    pixels = page.pixels if page.pixels.ndim == 3 else page.pixels[:, :, None]
    height, width = pixels.shape[:2]
    across, down = page.tile or (width, page.rows or height)
    planes = np.split(pixels, pixels.shape[2], axis=2) if page.planar else [pixels]
    found = []
    for plane in planes:
        for top in range(0, height, down):
            for left in range(0, width, across):
                part = plane[top : top + down, left : left + across]
                if page.tile:
                    missing = ((0, down - part.shape[0]), (0, across - part.shape[1]), (0, 0))
                    part = np.pad(part, missing, mode="edge")
                found.append(_compressed(part, page.compression, order))
    return found


def _compressed(part: np.ndarray, compression: int, order: str) -> bytes:
    data = part.astype(part.dtype.newbyteorder(order)).tobytes()
    match compression:
        case 8:
            return zlib.compress(data)
        case 32773:  # literal runs only
            return b"".join(
                bytes([len(data[at : at + 128]) - 1]) + data[at : at + 128] for at in range(0, len(data), 128)
            )
        case 34925:
            return lzma.compress(data)
        case 7 | 50001:
            kind = "L" if part.shape[2] == 1 else "RGBA" if part.shape[2] == 4 else "RGB"
            out = io.BytesIO()
            options = {"quality": 95} if compression == 7 else {"lossless": True}
            picture = Image.fromarray(part[:, :, 0] if kind == "L" else part, kind)
            picture.save(out, "JPEG" if compression == 7 else "WEBP", **options)
            return out.getvalue()
    return data


def _chain(file: bytearray, pages: Sequence[Page], order: str, big: bool) -> int:
    """Writes the directories; the offset of the first."""
    after = 0
    for page in reversed(pages):
        after = _directory(file, page, after, order, big)
    return after


def _directory(file: bytearray, page: Page, after: int, order: str, big: bool) -> int:
    children = [_directory(file, child, 0, order, big) for child in page.children]
    pixels = page.pixels if page.pixels.ndim == 3 else page.pixels[:, :, None]
    height, width, samples = pixels.shape
    offsets, counts = [], []
    for segment in segments(page, order):
        offsets.append(len(file))
        counts.append(len(segment))
        file += segment + bytes(len(segment) % 2)
    bits, kind = pixels.dtype.itemsize * 8, _FORMATS[pixels.dtype.kind]
    tags: dict[int, int | Sequence[int] | bytes] = {
        WIDTH: width,
        HEIGHT: height,
        BITS: [bits] * samples,
        COMPRESSION: page.compression,
        PHOTOMETRIC: page.photometric,
        SAMPLES: samples,
        PLANAR: 2 if page.planar else 1,
        **({SAMPLE_FORMAT: [kind] * samples} if kind != 1 else {}),
        **({SUB_DIRECTORIES: children} if children else {}),
    }
    if page.tile:
        tags |= {TILE_WIDTH: page.tile[0], TILE_HEIGHT: page.tile[1], TILE_OFFSETS: offsets, TILE_COUNTS: counts}
    else:
        tags |= {OFFSETS: offsets, ROWS: page.rows or height, COUNTS: counts}
    tags |= page.tags
    return write_directory(file, tags, after, order, big)


def write_directory(
    file: bytearray, tags: Mapping[int, int | Sequence[int] | bytes], after: int, order: str, big: bool
) -> int:
    """Appends a directory; its offset."""
    entries = []
    for tag, value in sorted(tags.items()):
        numbers = [value] if isinstance(value, int) else list(value)
        if isinstance(value, bytes):
            kind, packed = 2 if tag == MAKE else 1, value
        elif tag in {OFFSETS, COUNTS, TILE_OFFSETS, TILE_COUNTS, SUB_DIRECTORIES} and big:
            kind, packed = 16, struct.pack(f"{order}{len(numbers)}Q", *numbers)
        elif tag in {
            BITS,
            COMPRESSION,
            PHOTOMETRIC,
            SAMPLES,
            PLANAR,
            EXTRA,
            SAMPLE_FORMAT,
            ORIENTATION,
            320,
            SUBSAMPLING,
        }:
            kind, packed = 3, struct.pack(f"{order}{len(numbers)}H", *numbers)
        else:
            kind, packed = 4, struct.pack(f"{order}{len(numbers)}I", *numbers)
        room = 8 if big else 4
        if len(packed) > room:
            at = len(file)
            file += packed + bytes(len(packed) % 2)
            packed = struct.pack(f"{order}Q" if big else f"{order}I", at)
        entries.append(
            struct.pack(f"{order}HHQ" if big else f"{order}HHI", tag, kind, len(numbers)) + packed.ljust(room, b"\0")
        )
    start = len(file)
    file += struct.pack(f"{order}Q" if big else f"{order}H", len(entries)) + b"".join(entries)
    file += struct.pack(f"{order}Q" if big else f"{order}I", after)
    return start


# The kinds of samples, each of a picture that has four colours in its corners.


@dataclass(frozen=True)
class Kind:
    """A kind of samples, and what is right for it."""

    name: str
    photometric: int
    pixels: np.ndarray
    """(48, 64, samples)."""
    expected: np.ndarray
    """(48, 64, 3) of 0 to 255."""
    tags: Mapping[int, int | Sequence[int] | bytes] = field(default_factory=dict)
    compressions: Sequence[int] = (NONE, DEFLATE, PACKBITS, LZMA)
    unread: str = ""
    """Words of the refusal."""
    unread_as_planes: str = ""

    @property
    def samples(self) -> int:
        return int(self.pixels.shape[2])

    def page(self, compression: int, **layout: Any) -> Page:
        return Page(self.pixels, self.photometric, compression, tags=self.tags, **layout)

    def refusal(self, planar: bool) -> str:
        return self.unread or (self.unread_as_planes if planar else "")


def layouts(samples: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names, and what `Page` is told."""
    yield from (
        ("a strip", {}),
        ("strips", {"rows": 10}),
        ("tiles", {"tile": (16, 16)}),
        ("tiles over the edge", {"tile": (48, 32)}),
    )
    if samples > 1:
        yield from (
            ("planes in strips", {"planar": True, "rows": 16}),
            ("planes in tiles", {"planar": True, "tile": (32, 32)}),
        )


def kinds() -> list[Kind]:
    """Greys, colours and inks of all sizes and signs of samples."""
    grey = np.full((48, 64, 1), 0.75)
    grey[:24, :32], grey[24:, 32:], grey[:24, 32:] = 1.0, 0.5, 0.25
    colour = np.concatenate([grey, 1 - grey, grey[::-1]], 2)
    alpha = np.ones((48, 64, 1))
    alpha[:, :8] = 0
    greys, on_white = np.repeat(grey, 3, 2) * 255, (np.repeat(grey, 3, 2) * alpha + 1 - alpha) * 255
    stretched = np.repeat((grey - 0.25) / 0.75, 3, 2) * 255
    colours, colours_on_white = colour * 255, (colour * alpha + 1 - alpha) * 255
    clear, multiplied = {EXTRA: UNASSOCIATED}, {EXTRA: ASSOCIATED}

    def joined(*parts: np.ndarray) -> np.ndarray:
        return np.concatenate(parts, 2)

    planes = "separate planes with transparency"
    found = [
        Kind("grey 8", GREY, _as("u1", grey), greys, compressions=(NONE, DEFLATE, PACKBITS, LZMA, JPEG)),
        Kind("grey 16", GREY, _as("u2", grey), greys),
        Kind("grey 32", GREY, _as("u4", grey), stretched),
        Kind("grey signed 8", GREY, _as("i1", grey), greys),
        Kind("grey signed 16", GREY, _as("i2", grey), stretched),
        Kind("grey signed 32", GREY, _as("i4", grey), stretched),
        Kind("grey half", GREY, _as("f2", grey), greys, unread="floating-point samples of 16 bits"),
        Kind("grey float", GREY, _as("f4", grey), greys),
        Kind("grey double", GREY, _as("f8", grey), greys),
        Kind("grey undefined 8", GREY, _as("u1", grey), greys, {SAMPLE_FORMAT: 4}),
        Kind("grey alpha 8", GREY, _as("u1", joined(grey, alpha)), on_white, clear, unread_as_planes=planes),
        Kind("grey alpha 16", GREY, _as("u2", joined(grey, alpha)), on_white, clear, unread_as_planes=planes),
        Kind(
            "grey multiplied 8",
            GREY,
            _as("u1", joined(grey * alpha, alpha)),
            on_white,
            multiplied,
            unread_as_planes=planes,
        ),
        Kind(
            "grey multiplied 16",
            GREY,
            _as("u2", joined(grey * alpha, alpha)),
            on_white,
            multiplied,
            unread_as_planes=planes,
        ),
        Kind("rgb 8", RGB, _as("u1", colour), colours, compressions=(NONE, DEFLATE, PACKBITS, LZMA)),
        Kind("rgb 16", RGB, _as("u2", colour), colours),
        Kind("rgb 32", RGB, _as("u4", colour), colours, unread="3 unsigned samples of 32 bits"),
        Kind("rgb float", RGB, _as("f4", colour), colours, unread="3 floating-point samples of 32 bits"),
        Kind("rgb alpha 8", RGB, _as("u1", joined(colour, alpha)), colours_on_white, clear),
        Kind("rgb alpha 16", RGB, _as("u2", joined(colour, alpha)), colours_on_white, clear),
        Kind("rgb multiplied 8", RGB, _as("u1", joined(colour * alpha, alpha)), colours_on_white, multiplied),
        Kind("rgb multiplied 16", RGB, _as("u2", joined(colour * alpha, alpha)), colours_on_white, multiplied),
    ]
    for size in ("u1", "u2", "u4", "i1", "f4", "f8"):
        right = stretched if size == "u4" else greys
        found.append(Kind(f"white is zero {size}", WHITE_IS_ZERO, _as(size, 1 - grey), right))
    found.append(
        Kind(
            "white is zero alpha",
            WHITE_IS_ZERO,
            _as("u1", joined(1 - grey, alpha)),
            on_white,
            clear,
            unread_as_planes=planes,
        )
    )
    return found


def _as(kind: str, values: np.ndarray) -> np.ndarray:
    """Values of 0 to 1, over the whole range of a type of numbers."""
    number = np.dtype(kind)
    if number.kind == "f":
        return values.astype(number)
    most = 2 ** (8 * number.itemsize) - 1
    return (np.round(values * most) - (most // 2 + 1 if number.kind == "i" else 0)).astype(number)
