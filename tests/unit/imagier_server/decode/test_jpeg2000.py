# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct
from contextlib import suppress
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imagier_server.decode import jpeg2000
from imagier_server.decode.decoder import decode
from imagier_server.decode.formats import Format, sniff
from imagier_server.decode.refusals import Caps, RefusedError, TooLargeError
from PIL import Image
from support import made_pictures as made

CAPS = Caps(1_000_000, 5_000)
KINDS = {
    "file": {},
    "codestream": {"no_jp2": True},
    "lossy": {"irreversible": True, "quality_layers": [4, 2]},
    "tiles": {"tile_size": (64, 64)},
    "odd tiles": {"tile_size": (50, 35)},
    "on a canvas": {"tile_size": (64, 64), "offset": (7, 9), "tile_offset": (3, 2)},
    "precincts": {"codeblock_size": (16, 16), "precinct_size": (32, 32)},
    "few levels": {"num_resolutions": 2},
}


def drawn(kind: str = "file", mode: str = "RGB", size: tuple[int, int] = (129, 75)) -> bytes:
    return made.encoded(made.quadrants(200, 100).resize(size).convert(mode), "JPEG2000", **KINDS[kind])


def read(image: bytes, scale: float = 1.0, caps: Caps = CAPS) -> Image.Image:
    assert sniff(image) is Format.JPEG2000
    return decode(image, Format.JPEG2000, caps, lambda *_: scale)[0]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1.0, 0.5, 0.3, 0.06])
def test_every_kind_at_every_scale(kind: str, mode: str, scale: float) -> None:
    picture = read(drawn(kind, mode), scale)
    assert picture.size == (round(129 * scale), round(75 * scale))
    expected = made.quadrants(200, 100).resize(picture.size).convert(mode).convert("RGB")
    difference = np.abs(np.asarray(picture, int) - np.asarray(expected, int))
    assert np.median(difference) <= 4


def test_what_is_whole_is_read_without_its_end_mark_and_what_is_not_is_refused() -> None:
    for kind in KINDS:
        image = drawn(kind)
        assert read(image[:-2]).tobytes() == read(image).tobytes()
        for kept in (0.2, 0.5, 0.9, 0.99):
            with pytest.raises(RefusedError, match="truncated"):
                read(image[: int(len(image) * kept)])


def test_a_tile_that_is_missing_is_damage() -> None:
    image = drawn("tiles")
    second, third = (image.index(b"\xff\x90\0\x0a" + bytes([0, number])) for number in (1, 2))
    with pytest.raises(RefusedError, match="truncated"):
        read(image[:second] + image[third:])


def changed(offset: int, fmt: str, *values: int) -> bytes:
    """A bare codestream with other values in its SIZ segment, which begins at byte 4."""
    image = bytearray(drawn("codestream"))
    struct.pack_into(fmt, image, 4 + offset, *values)
    return bytes(image)


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (changed(4, ">II", 6_000, 10), "side"),
        (changed(4, ">II", 4_000, 4_000), "pixels"),
        (changed(4, ">IIIIII", 300, 300, 0, 0, 1, 1), "tiles"),
        (changed(36, ">H", 5), "four components"),
        (changed(4, ">II", 0, 0), "damaged"),
        (changed(20, ">II", 0, 0), "damaged"),
        (changed(12, ">II", 500, 500), "damaged"),
        (drawn()[:60], "damaged"),
        (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 \0\0\0\0jp2 ", "damaged"),
        (drawn()[:32] + b"\0\0\0\x08free" * 5000 + drawn()[32:], "damaged"),
        (
            drawn()[:32] + struct.pack("!I", 2 << 20) + b"jp2h" + bytes((2 << 20) - 8) + drawn()[32:],
            "outside its pixels",
        ),
    ],
    ids=[
        "side",
        "pixels",
        "tiles",
        "components",
        "nothing",
        "no tiles",
        "offset",
        "cut",
        "no stream",
        "boxes",
        "header",
    ],
)
def test_a_header_that_lies_or_makes_work_is_refused(image: bytes, text: str) -> None:
    with pytest.raises(RefusedError, match=text):
        read(image)


def test_packets_are_counted() -> None:
    image = bytearray(drawn("codestream"))
    style = image.index(b"\xff\x52")
    image[style + 6 : style + 8] = b"\xff\xff"
    with pytest.raises(TooLargeError, match="packets"):
        read(bytes(image))


def test_a_file_that_says_another_size_than_its_codestream_is_broken() -> None:
    image = bytearray(drawn())
    size = image.index(b"ihdr") + 4
    image[size : size + 8] = struct.pack("!II", 10, 10)
    with pytest.raises(RefusedError, match="damaged"):
        read(bytes(image))


def test_a_tile_that_would_need_too_much_memory_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg2000, "MOST_TILE_SAMPLES", 129 * 75 * 3 - 1)
    with pytest.raises(TooLargeError, match="memory"):
        read(drawn())
    assert read(drawn(), 0.5)
    assert read(drawn("tiles"))


@settings(max_examples=60)
@given(st.binary(max_size=60), st.sampled_from(sorted(KINDS)), st.integers(12, 900))
def test_never_anything_but_a_picture_or_an_error(noise: bytes, kind: str, at: int) -> None:
    image = drawn(kind, "L", (40, 30))
    spoiled = image[:at] + noise + image[at + len(noise) :]
    with suppress(RefusedError):
        jpeg2000.judge(spoiled, CAPS)
    # Without Pillow's own limit of pixels, as in a decoder process: ours have to do.
    with (
        patch.object(Image, "MAX_IMAGE_PIXELS", None),
        suppress(RefusedError, OSError, SyntaxError, ValueError, MemoryError, AssertionError, struct.error),
    ):
        decode(spoiled, Format.JPEG2000, CAPS, lambda *_: 1.0)
