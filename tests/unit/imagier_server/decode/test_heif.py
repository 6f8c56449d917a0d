# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import struct
from fractions import Fraction

import pytest
from imagier_server.decode.decoder import decode, load_codecs
from imagier_server.decode.formats import Format
from imagier_server.decode.heif import has_unnamable_items, uncropped
from imagier_server.decode.refusals import Caps, RefusedError, TooLargeError
from PIL import Image
from support.heic import crop, heic, mirror, turn
from support.made_pictures import noise, quadrants


@pytest.fixture(scope="module", autouse=True)
def _codecs() -> None:
    load_codecs()


def item(version: int, said: bytes) -> bytes:
    head = bytes([version, 0, 0, 0]) + bytes({2: 4, 3: 6}[version])
    return struct.pack("!I", 8 + len(head) + len(said)) + b"infe" + head + said


def test_a_picture_has_items_with_names() -> None:
    assert not has_unnamable_items(heic(quadrants()))


@pytest.mark.parametrize("version", [2, 3])
def test_a_type_or_a_name_that_is_no_text(version: int) -> None:
    sound = item(version, "mime\0Größe\0application/rdf+xml\0".encode())
    assert not has_unnamable_items(sound + b"\xff\xff")
    assert has_unnamable_items(sound + item(version, b"Exi\xff\0"))
    assert has_unnamable_items(sound + item(version, b"mime\0\0\xff\0"))


def test_one_that_hides_behind_another() -> None:
    assert has_unnamable_items(b"infe\x02\0\0" + item(2, b"Exi\xff\0"))


def test_a_long_name_may_be_cut_within_a_letter() -> None:
    assert not has_unnamable_items(item(2, b"mime" + "aé".encode() * 1000))


TURNS = {1: Image.Transpose.ROTATE_90, 2: Image.Transpose.ROTATE_180, 3: Image.Transpose.ROTATE_270}
MIRRORS = {0: Image.Transpose.FLIP_TOP_BOTTOM, 1: Image.Transpose.FLIP_LEFT_RIGHT}
CAPS = Caps(1_000_000, 5_000)


def shown(image: bytes) -> Image.Image:
    picture, width, height, _ = decode(image, Format.HEIC, CAPS, lambda *_: 1.0)
    assert picture.size == (width, height)
    return picture


@pytest.mark.parametrize(
    "steps", [*itertools.permutations("c1"), *itertools.permutations("c3h"), *itertools.permutations("c2v"), ("c",)]
)
@pytest.mark.parametrize("grid", [None, (1, 1)], ids=["one", "grid"])
@pytest.mark.parametrize("middle", [(0, 0), (-40, 30), (Fraction(3, 2), Fraction(-1, 2))], ids=str)
def test_a_small_crop_of_a_large_picture(
    middle: tuple[int, int], grid: tuple[int, int] | None, steps: tuple[str, ...]
) -> None:
    """libheif refuses one of a picture without tiles. Crops, turns and mirrors apply in the order in which they stand."""
    picture = noise(16, 12).resize((256, 192), Image.Resampling.NEAREST)
    size = (65, 33) if isinstance(middle[0], Fraction) else (64, 32)
    changes, right = [], shown(heic(picture, changes=[], grid=grid))
    for step in steps:
        if step == "c":
            changes.append(crop(size, middle))
            places = zip(right.size, size, middle, strict=True)
            left, top = (int(Fraction(whole - part, 2) + moved) for whole, part, moved in places)
            right = right.crop((left, top, left + size[0], top + size[1]))
        elif step in "hv":
            changes.append(mirror(int(step == "h")))
            right = right.transpose(MIRRORS[int(step == "h")])
        else:
            changes.append(turn(int(step)))
            right = right.transpose(TURNS[int(step)])
    assert shown(heic(picture, changes=changes, grid=grid)).tobytes() == right.tobytes()


def test_a_crop_that_libheif_carries_out_is_left_to_it() -> None:
    image = heic(noise(256, 192), changes=[crop((240, 180))], grid=None)
    assert uncropped(image) == (image, None)


def test_a_crop_is_shrunk_to_the_size_asked_for() -> None:
    image = heic(noise(256, 192), changes=[crop((64, 32)), turn(1)], grid=None)
    asked = []

    def half(*size: int) -> float:
        asked.append(size)
        return 0.5

    picture, *size, _ = decode(image, Format.HEIC, CAPS, half)
    assert (asked, size, picture.size) == ([(32, 64)], [32, 64], (16, 32))


@pytest.mark.parametrize("crops", [crop((64, 32), (900, 0)), crop((64, 32)).replace(struct.pack("!I", 1), bytes(4))])
def test_a_crop_of_nothing_is_broken(crops: bytes) -> None:
    with pytest.raises(RefusedError, match="damaged"):
        decode(heic(noise(256, 192), changes=[crops], grid=None), Format.HEIC, CAPS, lambda *_: 1.0)


def test_the_whole_of_a_cropped_picture_is_held_to_the_caps() -> None:
    with pytest.raises(TooLargeError):
        decode(
            heic(noise(256, 192), changes=[crop((64, 32))], grid=None), Format.HEIC, Caps(40_000, 5_000), lambda *_: 1.0
        )
