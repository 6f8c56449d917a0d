# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from imagier_server.decode import bmff, holes
from imagier_server.decode.decoder import decode, load_codecs
from imagier_server.decode.formats import sniff
from imagier_server.decode.refusals import Caps, RefusedError
from PIL import Image
from support import made_pictures as made

CAPS = Caps(10_000_000, 5_000)
KINDS = {
    "JPEG": {},
    "JPEG optimized": {"optimize": True},
    "JPEG grey": {"mode": "L"},
    "WEBP": {"quality": 90},
    "WEBP lossless": {"lossless": True},
    "AVIF": {"quality": 95},
}


def read(image: bytes) -> Image.Image:
    load_codecs()
    return decode(image, sniff(image), CAPS, lambda *_: 1.0)[0]


def drawn(kind: str, picture: Image.Image) -> bytes:
    options: dict[str, Any] = dict(KINDS[kind])
    return made.encoded(picture.convert(options.pop("mode", "RGB")), kind.split(maxsplit=1)[0], **options)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_with_a_hole_is_no_whole_picture(kind: str) -> None:
    image = drawn(kind, made.noise(200, 150))
    assert read(image).size == (200, 150)
    half = len(image) // 2
    for spoiled in (image[:half] + bytes(2048) + image[half + 2048 :], image[:half] + bytes(len(image) - half)):
        with pytest.raises(RefusedError, match=r"hole|truncated"):
            read(spoiled)


@pytest.mark.parametrize("colour", ["white", "black", "gray", "red"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_page_has_none(kind: str, colour: str) -> None:
    """Of a JPEG with codes of its own it is ten thousand zeros."""
    page = drawn(kind, Image.new("RGB", (1600, 1200), colour))
    assert read(page).size == (1600, 1200)
    assert holes.has(page, 0, len(page)) == (kind == "JPEG optimized")
    if kind in {"JPEG", "JPEG grey"}:
        assert read(page[:-2]).size == (1600, 1200)


def test_zeros_at_the_end_of_a_file_without_an_end_are_not_its_pixels() -> None:
    for progressive in (False, True):
        image = made.encoded(made.noise(200, 150), "JPEG", progressive=progressive)
        assert read(image[:-2]).size == (200, 150)
        for zeros in (16, 5000):
            with pytest.raises(RefusedError, match=r"hole|truncated"):
                read(image[: len(image) * 9 // 10] + bytes(zeros))


def test_zeros_in_metadata_are_none() -> None:
    padded = made.exif(extra=bytes(5000))
    for kind in KINDS:
        image = made.encoded(made.noise(64, 48), kind.split()[0], exif=padded)
        assert read(image + bytes(5000)).size == (64, 48)


def test_the_coded_pixels_of_a_file_of_items() -> None:
    image = drawn("AVIF", made.noise(64, 48))
    ((begin, end),) = bmff.coded_extents(image)
    assert end == len(image)
    assert image[begin - 4 : begin] == b"mdat"
    assert bmff.coded_extents(image[:100]) == bmff.coded_extents(b"") == []
