# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagier_server.decode import png
from imagier_server.decode.decoder import decode
from imagier_server.decode.formats import Format
from imagier_server.decode.refusals import Caps, RefusedError, TooLargeError
from support import made_pictures as made

CAPS = Caps(1_000_000, 5_000)
SMALL = made.png((2, 2), b"\0\xff\0\0\0\xff\0" * 2)


def spoiled(image: bytes, kind: bytes) -> bytes:
    """The same file with another checksum for the first chunk of that kind."""
    file = bytearray(image)
    at = image.index(kind) - 4
    file[at + 8 + int.from_bytes(image[at : at + 4])] ^= 1
    return bytes(file)


def colours(image: bytes) -> list[tuple[int, int, int]]:
    picture, *_ = decode(image, Format.PNG, CAPS, lambda *_: 1.0)
    return [picture.getpixel((x, y)) for y in range(picture.height) for x in range(picture.width)]


@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE", b"IDAT"])
def test_a_wrong_checksum_of_what_makes_pixels_is_damage(kind: bytes) -> None:
    image = made.png((2, 2), b"\0\0\1" * 2, colour=3, chunks=[made.chunk(b"PLTE", b"\xff\0\0\0\xff\0")])
    assert len(colours(image)) == 4
    for damaged in (spoiled(image, kind), spoiled(image[:-12], kind)):
        with pytest.raises(RefusedError, match="damaged"):
            colours(damaged)


def test_pixels_that_were_changed_are_damage_although_they_unpack() -> None:
    """Found with a page of text: EXIF was looked for by loading the pixels, and what went wrong then was forgotten."""
    stored = zlib.compressobj(0)
    rows = stored.compress(b"\0\xff\0\0\0\xff\0" * 2) + stored.flush()
    image = SMALL[:33] + made.chunk(b"IDAT", rows) + SMALL[-12:]
    assert colours(image) == [made.RED, made.LIME] * 2
    with pytest.raises(RefusedError, match="damaged"):
        colours(image.replace(b"\xff\0\0\0\xff\0", b"\xff\0\1\0\xff\0", 1))


@pytest.mark.parametrize("kind", [b"tEXt", b"iCCP", b"tRNS", b"gAMA", b"eXIf", b"quAk"])
def test_a_wrong_checksum_of_anything_else_makes_it_as_if_it_was_not_there(kind: bytes) -> None:
    content = {
        b"iCCP": b"a\0\0" + zlib.compress(made.adobe_rgb()),
        b"eXIf": made.orientation(6)[6:],
        b"tRNS": b"\0\x64\0\xb4\0\x50",
    }
    rows = b"\0\x64\xb4\x50\x28\x3c\xc8" * 2
    with_it = made.png((2, 2), rows, chunks=[made.chunk(kind, content.get(kind, b"\0\1\x86\xa0"))])
    without = colours(made.png((2, 2), rows))
    assert colours(spoiled(with_it, kind)) == without
    assert (colours(with_it) == without) == (kind in {b"tEXt", b"gAMA", b"quAk"})


@pytest.mark.parametrize(
    "chunk",
    [
        made.chunk(b"gAMA", b"\0"),
        made.chunk(b"cHRM", b""),
        made.chunk(b"sRGB", b""),
        made.chunk(b"pHYs", b"\0"),
        made.chunk(b"tRNS", b"\0"),
        made.chunk(b"iCCP", b"a\0\7" + zlib.compress(made.adobe_rgb())),
        made.chunk(b"iCCP", b""),
        made.chunk(b"acTL", b"\0"),
        made.chunk(b"fcTL", b"\0"),
        made.chunk(b"zTXt", b"Comment\0\7nonsense"),
        made.chunk(b"tEXt", b"transparency\0yes"),
        made.chunk(b"tEXt", b"icc_profile\0yes"),
        made.chunk(b"tEXt", b"exif\0yes"),
        made.chunk(b"eXIf", b"nonsense"),
        made.chunk(b"tEXt", b"Raw profile type exif\0\n\n\nnonsense"),
        made.chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(100))),
    ],
    ids=lambda chunk: repr(chunk[4:24]),
)
def test_metadata_that_are_broken_refuse_no_picture(chunk: bytes) -> None:
    for chunks in ([chunk], [chunk, chunk]):
        assert colours(made.png((2, 2), b"\0\xff\0\0\0\xff\0" * 2, chunks=chunks)) == [made.RED, made.LIME] * 2
    assert colours(SMALL[:-12] + chunk + SMALL[-12:]) == [made.RED, made.LIME] * 2


def test_an_orientation_is_obeyed_wherever_it_stands() -> None:
    turned = [made.LIME, made.RED]
    row = made.png((2, 1), b"\0\xff\0\0\0\xff\0")
    exif = made.orientation(2)
    xmp = b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="2"/>'
    raw = b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n%8d\n%s\n" % (len(exif), exif.hex().encode()))
    for chunk in (made.chunk(b"eXIf", exif[6:]), made.chunk(b"iTXt", xmp), made.chunk(b"zTXt", raw)):
        assert colours(row[:33] + chunk + row[33:]) == turned, chunk
        assert colours(row[:-12] + chunk + row[-12:]) == turned, chunk


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize(
    ("depth", "colour"), [(1, 0), (8, 0), (16, 0), (8, 2), (16, 2), (2, 3), (8, 3), (8, 4), (8, 6)]
)
def test_fewer_rows_than_announced_are_damage(depth: int, colour: int, interlace: int) -> None:
    """Pillow paints them black, or as the palette begins."""
    size, channels = 37, {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    passes = [(5, 5), (5, 5), (10, 5), (9, 10), (19, 9), (18, 19), (37, 18)] if interlace else [(size, size)]
    rows = b"".join((b"\0" + bytes(-(-wide * channels * depth // 8))) * high for wide, high in passes)
    header = made.chunk(b"IHDR", struct.pack("!IIBBBBB", size, size, depth, colour, 0, 0, interlace))
    header += made.chunk(b"PLTE", bytes(range(12))) if colour == 3 else b""

    def of(data: bytes) -> bytes:
        return SMALL[:8] + header + made.chunk(b"IDAT", zlib.compress(data)) + SMALL[-12:]

    assert set(colours(of(rows))) <= {(0, 0, 0), (0, 1, 2), (255, 255, 255)}
    assert colours(of(rows + b"more")) == colours(of(rows))
    for kept in (len(rows) - 1, len(rows) // 2, 1, 0):
        with pytest.raises((RefusedError, OSError)):
            colours(of(rows[:kept]))


@pytest.mark.parametrize(("size", "rows"), [((2, 3), 2), ((2, 4000), 2), ((37, 400), 399), ((1, 2), 1)])
def test_fewer_rows_than_announced_are_damage_whatever_their_colour(size: tuple[int, int], rows: int) -> None:
    with pytest.raises(RefusedError, match="missing"):
        colours(made.png(size, (b"\0" + b"\xff\0\0" * size[0]) * rows))


def test_chunks_are_counted() -> None:
    most = [made.chunk(b"quAk", b"")] * (png.MOST_CHUNKS - 3)
    assert colours(made.png((2, 2), b"\0\xff\0\0\0\xff\0" * 2, chunks=most)) == [made.RED, made.LIME] * 2
    with pytest.raises(TooLargeError, match="chunks"):
        colours(made.png((2, 2), b"\0\xff\0\0\0\xff\0" * 2, chunks=[*most, most[0]]))


def test_a_file_for_ios_is_refused_by_name() -> None:
    with pytest.raises(RefusedError, match="iOS"):
        colours(SMALL[:8] + made.chunk(b"CgBI", b"\x50\0\x20\x06") + SMALL[8:])


@given(st.binary(max_size=200))
def test_never_anything_but_a_file_or_a_refusal(noise: bytes) -> None:
    for image in (SMALL[:8] + noise, SMALL[:33] + noise, SMALL[:33] + struct.pack("!I", 7) + noise):
        with suppress(RefusedError):
            assert png.judge(image, CAPS).startswith(SMALL[:8])
