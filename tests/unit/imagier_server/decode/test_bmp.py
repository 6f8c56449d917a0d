# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct

import pytest
from imagier_server.decode import bmp
from imagier_server.decode.decoder import decode
from imagier_server.decode.formats import Format, sniff
from imagier_server.decode.refusals import Caps, RefusedError, TooLargeError
from PIL import Image
from support import made_pictures as made

CAPS = Caps(1_000_000, 5_000)


def run_lengths(size: tuple[int, int], rows: bytes, bits: int = 8) -> bytes:
    """A BMP of two colours, red and lime, whose rows (from the bottom) are run-length encoded."""
    palette = b"\0\0\xff\0" + b"\0\xff\0\0"
    header = struct.pack("<IiiHHIIiiII", 40, *size, 1, bits, 1 if bits == 8 else 2, len(rows), 0, 0, 2, 0)
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + header + palette + rows


def first(image: bytes) -> tuple[tuple[int, int, int], ...]:
    assert sniff(image) is Format.BMP
    picture, *_ = decode(image, Format.BMP, CAPS, lambda *_: 1.0)
    return tuple(picture.getpixel((x, y)) for y in range(picture.height) for x in range(picture.width))


def test_run_lengths_are_read() -> None:
    assert first(run_lengths((2, 2), b"\2\0\0\0\2\1\0\1")) == (made.LIME, made.LIME, made.RED, made.RED)
    assert first(run_lengths((4, 1), b"\4\x01\0\0\0\1", 4)) == (made.RED, made.LIME) * 2


def test_run_lengths_that_end_early_are_damage() -> None:
    for rows in (b"\2\0", b"\2\0\0\0\2", b"\2\0\0\0\0\4\1"):
        with pytest.raises(ValueError):  # noqa: PT011 - Pillow's text is not ours
            first(run_lengths((2, 2), rows))


def test_run_lengths_are_bounded() -> None:
    """Pillow unpacks them in Python."""
    for image in (run_lengths((5_000, 5_000), b"\0\1"), run_lengths((2, 2), bytes(bmp.MOST_RUN_LENGTH_BYTES))):
        with pytest.raises(TooLargeError, match="run-length"):
            bmp.judge(image, Caps(100_000_000, 30_000))
    with pytest.raises(TooLargeError, match="side"):
        bmp.judge(run_lengths((-2_000_000_000, 1), b""), CAPS)


def test_top_down_and_bottom_up_are_the_same_picture() -> None:
    image = bytearray(made.encoded(made.quadrants(8, 4), "BMP"))
    upright = first(bytes(image))
    image[22:26] = struct.pack("<i", -4)
    assert first(bytes(image)) == upright[16:] + upright[:16]


@pytest.mark.parametrize(("compression", "name"), [(4, "JPEG"), (5, "PNG")])
def test_a_picture_in_another_dress_is_refused_by_its_name(compression: int, name: str) -> None:
    image = bytearray(run_lengths((2, 2), b"\2\0\0\0\2\1\0\1"))
    image[30] = compression
    with pytest.raises(RefusedError, match=f"holds a {name}"):
        first(bytes(image))


def test_a_size_is_believed_by_no_one() -> None:
    image = bytearray(made.encoded(Image.new("RGB", (4, 4)), "BMP"))
    image[18:26] = struct.pack("<ii", 1001, 1000)
    with pytest.raises(TooLargeError, match="pixels"):
        first(bytes(image))
    image[18:26] = struct.pack("<ii", 4, 5)
    with pytest.raises(OSError, match="truncated"):
        first(bytes(image))
