# SPDX-License-Identifier: Apache-2.0
"""Pixels that are right stay right to the bit: digests of what good files of every kind decode to, at three scales.

`python tests/unit/imagier_server/decode/test_pixels_stay.py` writes the digests anew: do that only for a change that is meant.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import sys
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

sys.path += [str(Path(__file__).parents[4])]  # for when it is run as a program

import pytest
from imagier_server.decode.decoder import decode, load_codecs
from imagier_server.decode.formats import sniff
from imagier_server.decode.refusals import Caps
from PIL import Image, ImageCms
from support import made_pictures as made
from support.heic import heic

DIGESTS = Path(__file__).with_name("pixels.json")
SCALES = (1.0, 0.61, 0.13)
UPSIDE_DOWN = Image.Transpose.ROTATE_180
LOSSY = ("jpeg", "webp lossy", "avif", "mpo", "tiff jpeg", "tiff ycck", "heic from")
"""What an encoder may write otherwise tomorrow: these files are kept, beside the digests of their pixels."""


def subject(width: int = 47, height: int = 31) -> Image.Image:
    """Every pixel another colour, and no two rows or columns alike; made without arithmetic that a library could round."""
    data = bytes(
        value
        for y in range(height)
        for x in range(width)
        for value in ((x * 5 + y) & 255, (y * 7 + x * x // 9) & 255, (x * y // 3 + 40) & 255)
    )
    return Image.frombytes("RGB", (width, height), data)


def greys(width: int = 47, height: int = 31) -> bytes:
    """Samples of 16 bits in big endian."""
    return b"".join(struct.pack("!H", (x * 1321 + y * 977) & 0xFFFF) for y in range(height) for x in range(width))


def png_of(depth: int, colour: int, *chunks: bytes, interlace: int = 0) -> bytes:
    """A PNG of noise of any depth and colour type; interlaced rows are those of the seven passes."""
    width, height = 47, 31
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows, state = bytearray(), 12345
    for left, top, right, down in passes if interlace else [(0, 0, 1, 1)]:
        columns = -(-(width - left) // right)
        for row in range(-(-(height - top) // down)):
            rows.append(row % 5)  # every filter
            for _ in range(-(-columns * channels * depth // 8)):
                state = (state * 1103515245 + 12345) & 0x7FFFFFFF
                rows.append(state >> 16 & 255)
    header = made.chunk(b"IHDR", struct.pack("!IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    data = made.chunk(b"IDAT", zlib.compress(bytes(rows)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + data + made.chunk(b"IEND", b"")


def pngs() -> Iterator[tuple[str, bytes]]:
    palette = made.chunk(b"PLTE", bytes((n * 7) & 255 for n in range(256 * 3)))
    for colour, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items():
        for depth in depths:
            chunks = [palette if depth == 8 else made.chunk(b"PLTE", bytes(range(3 << depth)))] if colour == 3 else []
            for interlace in (0, 1):
                yield f"png {colour} {depth} {interlace}", png_of(depth, colour, *chunks, interlace=interlace)
            if colour < 4:
                clear = bytes(range(0, 1 << min(depth, 4), 3)) if colour == 3 else b"\0\7" * (1 if colour == 0 else 3)
                yield f"png {colour} {depth} clear", png_of(depth, colour, *chunks, made.chunk(b"tRNS", clear))
    yield "png gamma", png_of(8, 2, made.chunk(b"gAMA", struct.pack("!I", 100_000)))
    yield "png profile", made.encoded(subject(), icc_profile=made.adobe_rgb())
    yield "png grey profile", made.encoded(subject().convert("L"), icc_profile=made.linear_grey())
    yield "png clear profile", png_of(8, 6, made.chunk(b"iCCP", b"a\0\0" + zlib.compress(made.adobe_rgb())))
    for value in range(1, 9):
        yield f"png turned {value}", made.encoded(subject(), exif=made.orientation(value))
    late = png_of(8, 2)
    yield "png exif at the end", late[:-12] + made.chunk(b"eXIf", made.orientation(6)[6:]) + late[-12:]
    yield "png animated", made.encoded(subject(), save_all=True, append_images=[subject().transpose(UPSIDE_DOWN)])
    yield "png without its end", late[:-12]


def jpegs() -> Iterator[tuple[str, bytes]]:
    for name, options in {
        "plain": {},
        "progressive": {"progressive": True},
        "444": {"subsampling": 0, "quality": 97},
        "422": {"subsampling": 1},
        "rough": {"quality": 5},
        "restarts": {"restart_marker_blocks": 2},
        "restart rows": {"restart_marker_rows": 1, "progressive": True},
        "profile": {"icc_profile": made.adobe_rgb()},
        "comment": {"comment": b"\xff\xd9" * 100},
    }.items():
        yield f"jpeg {name}", made.encoded(subject(59, 43), "JPEG", **options)
    yield "jpeg grey", made.encoded(subject(59, 43).convert("L"), "JPEG")
    yield "jpeg cmyk", made.encoded(subject(59, 43).convert("CMYK"), "JPEG")
    yield "jpeg ycck", made.ycck((200, 100, 50))
    yield "jpeg rgb", made.encoded(subject(59, 43), "JPEG", keep_rgb=True)
    for value in range(2, 9):
        yield f"jpeg turned {value}", made.encoded(subject(59, 43), "JPEG", exif=made.orientation(value))
    yield "jpeg and a tail", made.encoded(subject(59, 43), "JPEG") + b"\xff\xd8\xff" + bytes(1000)
    yield "mpo", made.encoded(subject(59, 43), "MPO", save_all=True, append_images=[subject()])


def tiffs() -> Iterator[tuple[str, bytes]]:
    for compression in (None, "tiff_lzw", "tiff_deflate", "packbits", "jpeg", "group4", "group3", "tiff_adobe_deflate"):
        picture = subject().convert("1") if compression in {"group3", "group4"} else subject()
        yield f"tiff {compression}", made.encoded(picture, "TIFF", compression=compression)
    for mode in ("1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"):
        yield f"tiff {mode}", made.encoded(subject().convert(mode), "TIFF")
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    yield "tiff lab", made.encoded(ImageCms.profileToProfile(subject(), srgb, lab, outputMode="LAB"), "TIFF")
    for mode in ("I;16", "I;16B"):
        yield f"tiff {mode}", made.encoded(Image.frombytes(mode, (47, 31), greys()), "TIFF")
    whole = b"".join(struct.pack("=i", n * 1000 - 40_000) for n in range(47 * 31))
    yield "tiff I", made.encoded(Image.frombytes("I", (47, 31), whole), "TIFF")
    for low, high in ((0, 1), (0, 255), (-5, 1000)):
        floats = b"".join(struct.pack("=f", low + (high - low) * n / (47 * 31 - 1)) for n in range(47 * 31))
        yield f"tiff F {low} {high}", made.encoded(Image.frombytes("F", (47, 31), floats), "TIFF")
    for value in range(1, 9):
        yield f"tiff turned {value}", made.encoded(subject(), "TIFF", tiffinfo={0x0112: value})
    yield "tiff big", made.encoded(subject(), "TIFF", big_tiff=True)
    yield "tiff big endian", made.tiff(subject(), b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0")
    yield "tiff profile", made.encoded(subject(), "TIFF", icc_profile=made.adobe_rgb())
    yield "tiff cmyk profile", made.encoded(subject().convert("CMYK"), "TIFF", compression="tiff_lzw")
    yield "tiff pages", made.encoded(subject(), "TIFF", save_all=True, append_images=[subject(20, 10)])
    yield "tiff 12 bits", made.encoded(Image.frombytes("I;16", (47, 31), greys()), "TIFF", tiffinfo={281: 65535})


def others() -> Iterator[tuple[str, bytes]]:
    for mode in ("RGB", "L", "1", "P"):
        yield f"gif {mode}", made.encoded(subject().convert(mode), "GIF")
    yield "gif interlaced", made.encoded(subject(), "GIF", interlace=1)
    yield "gif clear", made.encoded(subject().convert("P"), "GIF", transparency=3)
    frames = [subject().transpose(turn) for turn in (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180)]
    yield "gif animated", made.encoded(subject(), "GIF", save_all=True, append_images=frames)
    clear = subject().convert("RGBA")
    clear.putalpha(subject().convert("L"))
    for name, options in {"lossless": {"lossless": True, "exact": True}, "lossy": {"quality": 70}}.items():
        yield f"webp {name}", made.encoded(subject(), "WEBP", **options)
        yield f"webp {name} clear", made.encoded(clear, "WEBP", **options)
        yield f"webp {name} turned", made.encoded(subject(), "WEBP", exif=made.orientation(5), **options)
        yield f"webp {name} profile", made.encoded(subject(), "WEBP", icc_profile=made.adobe_rgb(), **options)
        animated = made.encoded(subject(), "WEBP", save_all=True, append_images=frames, **options)
        yield f"webp {name} animated", animated
    for name, options in {"plain": {}, "420": {"subsampling": "4:2:0"}, "444": {"subsampling": "4:4:4"}}.items():
        yield f"avif {name}", made.encoded(subject(), "AVIF", **options)
    yield "avif clear", made.encoded(clear, "AVIF")
    yield "avif profile", made.encoded(subject(), "AVIF", icc_profile=made.adobe_rgb())
    yield "avif animated", made.encoded(subject(), "AVIF", save_all=True, append_images=frames)
    for value in range(1, 9):
        yield f"avif turned {value}", made.encoded(subject(), "AVIF", exif=made.orientation(value))
    for turns in range(4):
        yield f"heic {turns}", heic(subject(96, 64), turns)
    yield "heic grid", heic(subject(64, 32), grid=(3, 2))


def drawn() -> dict[str, bytes]:
    return {name: file for kind in (pngs(), jpegs(), tiffs(), others()) for name, file in kind}


def pixels(file: bytes) -> str:
    """A digest of the pictures that a file decodes to, and of their full size."""
    _codecs()
    digest = hashlib.sha256()
    for scale in SCALES:
        picture, width, height, _ = decode(file, sniff(file), Caps(1_000_000, 5_000), lambda *_, scale=scale: scale)
        digest.update(struct.pack("!4I", width, height, *picture.size) + picture.tobytes())
    return digest.hexdigest()[:32]


@cache
def _codecs() -> None:
    load_codecs()


@cache
def kept() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(DIGESTS.read_text("ascii"))
    return found


@cache
def files() -> dict[str, bytes]:
    """Those that were kept as they were, and the others drawn anew."""
    return {
        name: base64.b85decode(kept()[name]["file"]) if "file" in kept().get(name, {}) else file
        for name, file in drawn().items()
    }


def test_there_are_digests_of_all() -> None:
    assert files().keys() == kept().keys()


@pytest.mark.parametrize("name", sorted(kept()) if DIGESTS.exists() else [])
def test_pixels_are_those_of_before(name: str) -> None:
    assert pixels(files()[name]) == kept()[name]["pixels"]


if __name__ == "__main__":
    rows = {
        name: {"pixels": pixels(file)} | ({"file": base64.b85encode(file).decode()} if name.startswith(LOSSY) else {})
        for name, file in drawn().items()
    }
    DIGESTS.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n", "ascii")
