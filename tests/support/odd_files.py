# SPDX-License-Identifier: Apache-2.0
"""Some hundred small odd files, each with the right answer: formats, times what they carry, times what may be wrong with them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from support import made_pictures as made
from support import made_tiff
from support.heic import heic
from support.odd_case import BROKEN, NOT_READ, SIZE, TOO_LARGE, Case
from support.odd_pages import hidden_pages, kinds_of_tiff

_TURNED = Image.Transpose.ROTATE_90
"""How a camera held so stores what EXIF's orientation 6 turns upright."""


@dataclass(frozen=True)
class Dress:
    """A way to write a picture as a file; `cut` are the shares of it that are kept by those who cut it short."""

    name: str
    write: Callable[[Image.Image], bytes]
    mode: str = "RGB"
    tolerance: float = 0
    exif: bool = False
    """Whether it obeys EXIF's orientation."""

    def colours(self) -> tuple[tuple[int, ...], ...]:
        shown = made.quadrants(4, 4).convert(self.mode).convert("RGB")
        return tuple(shown.getpixel((x, y)) for y in (0, 3) for x in (0, 3))


def by_pillow(fmt: str, mode: str = "RGB", **options: Any) -> Callable[..., bytes]:
    def write(picture: Image.Image, **more: Any) -> bytes:
        return made.encoded(picture.convert(mode), fmt, **options, **more)

    return write


def _tiff(**layout: Any) -> Callable[[Image.Image], bytes]:
    order, big = layout.pop("order", "<"), layout.pop("big", False)

    def write(picture: Image.Image) -> bytes:
        page = made_tiff.Page(np.asarray(picture.convert("RGB")), made_tiff.RGB, **layout)
        return made_tiff.tiff(page, order=order, big=big)

    return write


def interlaced(picture: Image.Image) -> bytes:
    """A PNG in seven passes, which Pillow does not write."""
    pixels = np.asarray(picture.convert("RGB"))
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    parts = [pixels[top::down, left::right] for left, top, right, down in passes]
    rows = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)
    header = made.chunk(b"IHDR", struct.pack("!IIBBBBB", *picture.size, 8, 2, 0, 0, 1))
    return b"\x89PNG\r\n\x1a\n" + header + made.chunk(b"IDAT", zlib.compress(rows)) + made.chunk(b"IEND", b"")


def dresses() -> list[Dress]:
    jpeg, webp, avif, jp2 = {"quality": 100}, {"quality": 95}, {"quality": 100}, {"irreversible": True}
    return [
        *(Dress(f"PNG {mode}", by_pillow("PNG", mode), mode, exif=True) for mode in ("RGB", "RGBA", "L", "LA", "P")),
        Dress("PNG interlaced", interlaced),
        Dress("JPEG", by_pillow("JPEG", **jpeg), tolerance=8, exif=True),
        Dress("JPEG 4:4:4", by_pillow("JPEG", subsampling=0, **jpeg), tolerance=3, exif=True),
        Dress("JPEG progressive", by_pillow("JPEG", progressive=True, **jpeg), tolerance=8, exif=True),
        Dress("JPEG restarts", by_pillow("JPEG", restart_marker_blocks=1, **jpeg), tolerance=8, exif=True),
        Dress(
            "JPEG progressive restarts",
            by_pillow("JPEG", progressive=True, restart_marker_rows=1, **jpeg),
            tolerance=8,
            exif=True,
        ),
        Dress("JPEG grey", by_pillow("JPEG", "L", **jpeg), "L", 3, exif=True),
        Dress("JPEG RGB", by_pillow("JPEG", keep_rgb=True, **jpeg), tolerance=3, exif=True),
        Dress("JPEG CMYK", by_pillow("JPEG", "CMYK", **jpeg), "CMYK", 4, exif=True),
        Dress("GIF", by_pillow("GIF")),
        Dress("GIF interlaced", by_pillow("GIF", interlace=1)),
        Dress("WebP", by_pillow("WEBP", **webp), tolerance=8, exif=True),
        Dress("WebP lossless", by_pillow("WEBP", lossless=True), exif=True),
        Dress("WebP RGBA", by_pillow("WEBP", "RGBA", lossless=True), "RGBA", exif=True),
        *(
            Dress(f"TIFF {compression}", by_pillow("TIFF", compression=compression), tolerance=tolerance)
            for compression, tolerance in
            ((None, 0), ("tiff_lzw", 0), ("tiff_deflate", 0), ("packbits", 0), ("jpeg", 8))
        ),
        Dress("TIFF tiles", _tiff(tile=(32, 16), compression=made_tiff.DEFLATE)),
        Dress("TIFF big endian", _tiff(order=">")),
        Dress("TIFF BigTIFF", _tiff(big=True)),
        Dress("TIFF BigTIFF big endian", _tiff(big=True, order=">", rows=7)),
        Dress("AVIF", by_pillow("AVIF", **avif), tolerance=8, exif=True),
        Dress("AVIF 4:4:4", by_pillow("AVIF", subsampling="4:4:4", **avif), tolerance=4, exif=True),
        Dress("HEIC", heic, tolerance=2),
        Dress("BMP", by_pillow("BMP")),
        Dress("BMP P", by_pillow("BMP", "P"), "P"),
        Dress("BMP L", by_pillow("BMP", "L"), "L"),
        Dress("BMP RGBA", by_pillow("BMP", "RGBA"), "RGBA"),
        Dress("JPEG 2000", by_pillow("JPEG2000")),
        Dress("JPEG 2000 lossy", by_pillow("JPEG2000", **jp2), tolerance=3),
        Dress("JPEG 2000 tiles", by_pillow("JPEG2000", tile_size=(48, 32))),
        Dress("JPEG 2000 codestream", by_pillow("JPEG2000", "L", no_jp2=True), "L"),
    ]  # fmt: skip


def whole() -> Iterator[Case]:
    """Good files: as they are, with something behind them, of sizes that encoders find hard."""
    for dress in dresses():
        image, answer = dress.write(made.quadrants(*SIZE)), {"colours": dress.colours(), "tolerance": dress.tolerance}
        yield Case(dress.name, image, **answer)
        yield Case(f"{dress.name}, zeros behind it", image + bytes(4096), **answer)
        yield Case(f"{dress.name}, a web page behind it", image + b"\n<html>x</html>", **answer)
        # HEVC's blocks are of 32 here.
        sizes = [(32, 32), (96, 32)] if dress.name == "HEIC" else [(1, 1), (1, 90), (90, 1), (17, 33)]
        for size in sizes:
            red = Image.new("RGB", (1, 1), "red").convert(dress.mode).convert("RGB").getpixel((0, 0))
            plain = dress.write(Image.new("RGB", size, "red"))
            shown = tuple(red for _ in range(4))
            yield Case(f"{dress.name} of {size[0]} x {size[1]}", plain, size, shown, max(dress.tolerance, 2))


def turned() -> Iterator[Case]:
    """Orientations, and metadata that are none."""
    stored = made.quadrants(*SIZE).transpose(_TURNED)
    for dress in dresses():
        if not dress.exif:
            continue
        answer = {"colours": dress.colours(), "tolerance": dress.tolerance}
        yield Case(f"{dress.name}, turned", dress.write(stored, exif=made.orientation(6)), **answer)
        bombs = ("no directory", "an orientation of four gigabytes", "text for an orientation")
        for name in bombs if "AVIF" not in dress.name else ():  # whose encoder reads what it is given
            image = dress.write(made.quadrants(*SIZE), exif=made.exif_bombs()[name])
            yield Case(f"{dress.name}, EXIF: {name}", image, **answer)
        yield Case(
            f"{dress.name}, a profile of noise", dress.write(made.quadrants(*SIZE), icc_profile=b"\1" * 200), **answer
        )


def cut() -> Iterator[Case]:
    """Files that end early, honestly or not."""
    for dress in dresses():
        image = dress.write(made.noise(*SIZE))
        for kept in (0.02, 0.3, 0.6, 0.9):
            yield Case(f"{dress.name}, {kept:.0%} of it", image[: int(len(image) * kept)], reason=NOT_READ, says=BROKEN)
        if dress.name.startswith("JPEG") and "2000" not in dress.name:
            for kept in (0.5, 0.95):
                ended = image[: int(len(image) * kept)] + b"\xff\xd9"
                yield Case(f"{dress.name}, {kept:.0%} of it and an end", ended, reason=NOT_READ, says=BROKEN)
            plain = dress.write(made.quadrants(*SIZE))
            yield Case(f"{dress.name}, without its end", plain[:-2], colours=dress.colours(), tolerance=dress.tolerance)
        if dress.name.startswith("PNG"):
            plain = dress.write(made.quadrants(*SIZE))
            yield Case(f"{dress.name}, without its end", plain[:-12], colours=dress.colours())
            at = image.index(b"IDAT") + 40
            damaged = image[:at] + bytes([image[at] ^ 4]) + image[at + 1 :]
            yield Case(f"{dress.name}, a bit of it changed", damaged, reason=NOT_READ, says=BROKEN)
    for dress in dresses():
        image = dress.write(made.noise(*SIZE))
        compressed = dress.name.startswith(("PNG", "JPEG", "GIF", "WebP", "AVIF", "TIFF tiff")) and len(image) > 6000
        if not compressed or "2000" in dress.name:
            continue
        half = len(image) // 2
        rest = image[:half] + bytes(len(image) - half)
        yield Case(f"{dress.name}, zeros for its second half", rest, reason=NOT_READ, says=f"hole|{BROKEN}")
        if "progressive" not in dress.name:
            hole = image[:half] + bytes(2048) + image[half + 2048 :]
            yield Case(f"{dress.name}, a hole in it", hole, reason=NOT_READ, says=f"hole|{BROKEN}")
    rows = b"\0" + b"\xff\0\0" * 128
    for count in (0, 1, 32, 63):
        yield Case(f"PNG of {count} rows", made.png(SIZE, rows * count), reason=NOT_READ, says=BROKEN)


def lying() -> Iterator[Case]:
    """Headers that announce more than there is, or than is allowed; headers that only make work."""
    png, jpeg, gif = (made.encoded(made.quadrants(*SIZE), fmt) for fmt in ("PNG", "JPEG", "GIF"))
    header = png[:8] + made.chunk(b"IHDR", struct.pack("!IIBBBBB", 70_000, 1, 8, 2, 0, 0, 0)) + png[33:]
    yield Case("PNG that says 70 000 across", header, reason=TOO_LARGE, says="side")
    frame = jpeg.index(b"\xff\xc0") + 5
    for size, reason, says in (((65_000, 65_000), TOO_LARGE, "side"), ((25_000, 25_000), TOO_LARGE, "pixels")):
        lie = jpeg[:frame] + struct.pack("!HH", *size) + jpeg[frame + 4 :]
        yield Case(f"JPEG that says {size}", lie, reason=reason, says=says)
    for taller in (65, 80, 200):
        lie = jpeg[:frame] + struct.pack("!HH", taller, 128) + jpeg[frame + 4 :]
        if taller > 64:
            yield Case(f"JPEG that says {taller} rows", lie, reason=NOT_READ, says=BROKEN)
    yield Case("GIF that says 65 535", gif[:6] + b"\xff\xff\xff\xff" + gif[10:], reason=TOO_LARGE, says="side")
    work = "outside its pixels|segments|before its first picture|chunks|scans"
    yield Case("JPEG of fill bytes", jpeg[:2] + b"\xff" * 100_000 + jpeg[2:], reason=TOO_LARGE, says=work)
    yield Case("JPEG of comments", jpeg[:2] + b"\xff\xfe\0\2" * 10_000 + jpeg[2:], reason=TOO_LARGE, says=work)
    yield Case("JPEG of a thousand scans", made.with_scans(1000, (3000, 3000)), reason=TOO_LARGE, says=work)
    chunks = made.chunk(b"quAk", b"") * 70_000
    yield Case("PNG of chunks", png[:33] + chunks + png[33:], reason=TOO_LARGE, says=work)
    at = gif.index(b"\x2c\0\0\0\0\x80\0\x40\0")
    yield Case("GIF of comments", gif[:at] + b"\x21\xfe\1a\0" * 40_000 + gif[at:], reason=TOO_LARGE, says=work)


def png_chunks() -> Iterator[Case]:
    """PNGs with chunks that are broken, and that browsers pass over."""
    rows = b"".join(b"\0" + row.tobytes() for row in np.asarray(made.quadrants(*SIZE)))
    bad = {
        "gAMA": b"\0",
        "cHRM": b"",
        "sRGB": b"",
        "pHYs": b"\0",
        "tRNS": b"\0",
        "iCCP": b"name\0\7nonsense",
        "tIME": b"",
        "zTXt": b"Comment\0\7nonsense",
        "iTXt": b"Comment",
        "tEXt": b"transparency\0yes",
        "acTL": b"",
        "fcTL": b"",
        "eXIf": b"nonsense",
        "quAk": b"",
    }
    for kind, content in bad.items():
        chunk = made.chunk(kind.encode(), content)
        yield Case(f"PNG, a broken {kind}", made.png(SIZE, rows, chunks=[chunk]))
        spoiled = chunk[:-1] + bytes([chunk[-1] ^ 1])
        yield Case(f"PNG, a wrong checksum of {kind}", made.png(SIZE, rows, chunks=[spoiled]))
    good = made.png(SIZE, rows)
    for kind in (b"IHDR", b"IDAT"):
        at = good.index(kind) + 4 + int.from_bytes(good[good.index(kind) - 4 : good.index(kind)])
        spoiled = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        yield Case(f"PNG, a wrong checksum of {kind.decode()}", spoiled, reason=NOT_READ, says=BROKEN)
    for kind in (b"zTXt", b"iTXt", b"iCCP"):
        red = ((255, 0, 0),) * 4
        yield Case(f"PNG, a bomb in {kind.decode()}", made.text_bomb(kind, 8 << 20), (1, 1), red)


def many_frames() -> Iterator[Case]:
    """Of several pages or frames the first is read."""
    others = [Image.new("RGB", SIZE, colour) for colour in ("black", "gray")]
    for fmt, tolerance, options in (
        ("GIF", 0, {}),
        ("PNG", 0, {}),
        ("WEBP", 0, {"lossless": True}),
        ("TIFF", 0, {}),
        ("AVIF", 8, {"quality": 100}),
        ("MPO", 8, {"quality": 100}),
    ):
        image = made.encoded(made.quadrants(*SIZE), fmt, save_all=True, append_images=others, **options)
        yield Case(f"{fmt} of three", image, tolerance=tolerance)


def unsupported() -> Iterator[Case]:
    """What is no picture, by its name."""
    icon = io.BytesIO()
    made.quadrants(16, 16).save(icon, "ICO")
    films = {
        brand: struct.pack("!I4s4s", 16, b"ftyp", brand) + bytes(4) for brand in (b"isom", b"qt  ", b"crx ", b"msf1")
    }
    for image, says in (
        (b"", "empty"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"<svg/>", "an SVG drawing"),
        (b"<!DOCTYPE html>", "an HTML page"),
        (b"\xff\x0a\xfa\x1f", "a JPEG XL picture"),
        (b"8BPS\0\1", "a Photoshop document"),
        (icon.getvalue(), "an icon"),
        (films[b"isom"], "an MP4 video"),
        (films[b"qt  "], "a QuickTime video"),
        (films[b"crx "], r"a camera's raw file \(CR3\)"),
        (films[b"msf1"], "a HEIC sequence"),
        (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
        (b"RIFF\0\0\0\0AVI ", "an AVI video"),
        (b"FUJIFILMCCD-RAW ", r"a camera's raw file \(RAF\)"),
        (b"IIU\0", r"a camera's raw file \(RW2\)"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"\0\5\x16\7\0\2\0\0", "an AppleDouble file"),
        (b"PK\3\4", "a ZIP archive"),
        (b"some words\n", "a text file"),
        (bytes(64), "nothing but zeros"),
        (b"\x80" * 64, "not a picture"),
    ):
        yield Case(f"no picture: {says}", image, reason=NOT_READ, says=says)
    for magic in (
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\4\0\0\0WEBP",
        b"II*\0",
        b"MM\0+",
        b"\xff\x4f\xff\x51",
    ):
        yield Case(f"nothing behind {magic!r}", magic, reason=NOT_READ, says=BROKEN)


def cases() -> list[Case]:
    kinds = (whole, turned, cut, lying, png_chunks, many_frames, unsupported, kinds_of_tiff, hidden_pages)
    return [case for kind in kinds for case in kind()]
