# SPDX-License-Identifier: Apache-2.0
"""Pictures that users have and attackers send, each made by code. Most show QUADRANTS: every turn and mirror looks different."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable

import numpy as np
from PIL import Image

RED, LIME, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
QUADRANTS = (RED, LIME, BLUE, WHITE)
"""Upper left, upper right, lower left, lower right."""


def quadrants(width: int = 128, height: int = 64) -> Image.Image:
    picture = Image.new("RGB", (width, height))
    for place, colour in enumerate(QUADRANTS):
        left, top = place % 2 * width // 2, place // 2 * height // 2
        picture.paste(colour, (left, top, left + width // 2, top + height // 2))
    return picture


def noise(width: int = 64, height: int = 64) -> Image.Image:
    """Does not compress: cut in half, half of the pixels are missing."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8))


def encoded(picture: Image.Image, fmt: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, fmt, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))


def png(size: tuple[int, int], rows: bytes, *, depth: int = 8, colour: int = 2, chunks: Iterable[bytes] = ()) -> bytes:
    """`rows` with a filter byte each, as they are before compression; `colour` is PNG's colour type; `chunks` come before them."""
    header = chunk(b"IHDR", struct.pack("!IIBBBBB", *size, depth, colour, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + data + chunk(b"IEND", b"")


def text_bomb(kind: bytes, size: int = 80 << 20, times: int = 1) -> bytes:
    """A small PNG whose metadata expand to `size` bytes, `times` over."""
    packed = zlib.compressobj()
    zeros = b"".join(packed.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packed.flush()
    head = {b"zTXt": b"Comment\0\0", b"iTXt": b"Comment\0\1\0\0\0", b"iCCP": b"icc\0\0"}[kind]
    return png((1, 1), b"\0\xff\0\0", chunks=[chunk(kind, head + zeros)] * times)


def with_scans(scans: int, size: tuple[int, int] = (128, 64)) -> bytes:
    """A progressive JPEG whose last scan is repeated until there are `scans`."""
    file = encoded(quadrants(*size), "JPEG", progressive=True)
    last = file.rindex(b"\xff\xda")
    return file[:-2] + file[last:-2] * (scans - file.count(b"\xff\xda")) + file[-2:]


def ycck(colour: tuple[int, int, int], size: tuple[int, int] = (64, 64)) -> bytes:
    """A JPEG as Adobe's programs write it for print: YCCK, inverted, which only the transform in its APP14 segment tells."""
    inks = Image.new("RGB", (1, 1), tuple(255 - value for value in colour)).convert("YCbCr").getpixel((0, 0))
    planes = Image.new("CMYK", size, (*(255 - value for value in inks), 0))  # Pillow inverts what it writes
    file = bytearray(encoded(planes, "JPEG", quality=95))
    adobe = file.index(b"\xff\xee\0\x0eAdobe")
    file[adobe + 15] = 2
    return bytes(file)


def icc(space: bytes, *tags: tuple[bytes, bytes]) -> bytes:
    """A colour profile (ICC.1:2001-04) of the space `RGB ` or `GRAY` with these tags."""
    table, data, at = struct.pack("!I", len(tags)), b"", 132 + 12 * len(tags)
    for signature, content in tags:
        content += bytes(-len(content) % 4)  # noqa: PLW2901 - padded as the format wants it
        table += signature + struct.pack("!II", at + len(data), len(content))
        data += content
    illuminant = struct.pack("!III", 0xF6D6, 0x10000, 0xD32D)
    head = struct.pack("!I4sI4s4s4s", 0, b"none", 0x02100000, b"mntr", space, b"XYZ ") + bytes(12)
    head += b"acsp" + bytes(28) + illuminant + bytes(48)
    whole = bytearray(head + table + data)
    whole[:4] = struct.pack("!I", len(whole))
    return bytes(whole)


def gamma(value: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack("!IH", 1, round(value * 256))


def xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack("!iii", *(round(value * 65536) for value in values))


def described(name: bytes) -> bytes:
    return b"desc" + bytes(4) + struct.pack("!I", len(name) + 1) + name + bytes(1 + 4 + 4 + 2 + 1 + 67)


# Adobe RGB (1998) Color Image Encoding, 2005-05: its primaries, adapted to D50.
ADOBE_RGB_MATRIX = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
D50 = xyz(0.9642, 1.0, 0.8249)


def adobe_rgb() -> bytes:
    columns = (xyz(*column) for column in ADOBE_RGB_MATRIX)
    curve = gamma(563 / 256)
    return icc(
        b"RGB ",
        (b"desc", described(b"Adobe RGB (1998)")),
        (b"wtpt", D50),
        *zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True),
        *((name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")),
    )


def linear_grey() -> bytes:
    return icc(b"GRAY", (b"desc", described(b"linear grey")), (b"wtpt", D50), (b"kTRC", gamma(1.0)))


def exif(*entries: bytes, following: int = 0, extra: bytes = b"") -> bytes:
    """An EXIF block (big endian) of raw directory entries; `following` is the next directory's offset."""
    directory = struct.pack("!H", len(entries)) + b"".join(entries) + struct.pack("!I", following)
    return b"Exif\0\0MM\0*\0\0\0\x08" + directory + extra


def entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
    """A directory entry; `value` or, where that is longer than 4 bytes, its offset."""
    return struct.pack("!HHI", tag, kind, count) + value.ljust(4, b"\0")


def orientation(value: int) -> bytes:
    return exif(entry(0x0112, 3, 1, struct.pack("!H", value)))


def tiff(picture: Image.Image, exif: bytes) -> bytes:
    """Big endian, without compression; the block of EXIF is its beginning, sub-directory and second directory, all at once."""
    block = (exif[6:] + bytes(len(exif) % 2)).ljust(8, b"\0")
    pixels, at = picture.convert("RGB").tobytes(), len(block)
    directory = [
        entry(256, 3, 1, struct.pack("!H", picture.width)),
        entry(257, 3, 1, struct.pack("!H", picture.height)),
        entry(258, 3, 3, struct.pack("!I", at)),
        entry(262, 3, 1, b"\0\2"),
        entry(273, 4, 1, struct.pack("!I", at + 6)),
        entry(277, 3, 1, b"\0\3"),
        entry(279, 4, 1, struct.pack("!I", len(pixels))),
        entry(0x8769, 4, 1, struct.pack("!I", 8)),
    ]
    table = struct.pack("!H", len(directory)) + b"".join(directory) + struct.pack("!I", 8)
    return b"MM\0*" + struct.pack("!I", at + 6 + len(pixels)) + block[8:] + b"\0\x08" * 3 + pixels + table


def exif_bombs() -> dict[str, bytes]:
    """Metadata that promise more than there is, or turn in circles."""
    upright = entry(0x0112, 3, 1, b"\0\1")
    return {
        "a value of four gigabytes": exif(upright, entry(0x9286, 7, 0xFFFFFFFF, b"\0\0\0\x1a")),
        "an orientation of four gigabytes": exif(entry(0x0112, 3, 0xFFFFFFFF, b"\0\0\0\x1a")),
        "a directory that follows itself": exif(upright, following=8),
        "a sub-directory that is its parent": exif(upright, entry(0x8769, 4, 1, b"\0\0\0\x08")),
        "a directory that ends early": b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + upright,
        "five thousand values": exif(*[entry(tag, 4, 1, b"\0\0\0\1") for tag in range(5000)]),
        "values that lie upon one another": exif(*[entry(tag, 7, 60_000, b"\0\0\0\x08") for tag in range(4000)]),
        "no directory": b"Exif\0\0MM\0*\0\0\xff\xff",
        "no header": b"Exif\0\0" + b"\xff" * 100,
        "nothing": b"Exif\0\0",
        "text for an orientation": exif(entry(0x0112, 2, 4, b"six\0")),
        "no number for an orientation": exif(entry(0x0112, 5, 1, b"\0\0\0\x1a"), extra=bytes(8)),
    }
