# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io

import numpy as np
import pytest
from imagier_server.messages import Picture
from imagier_server.tasks.fingerprint.task import SIDE, FingerprintTask, finish, prepare
from imagier_server.tasks.fingerprint.values import Fingerprint, FingerprintOptions
from PIL import Image

PLAIN, TURNED = FingerprintOptions(), FingerprintOptions(rotations=True)


def photo(width: int = 640, height: int = 480) -> Image.Image:
    """Soft blobs, and an edge: as a photograph, it is not like its own mirror image."""
    rng = np.random.default_rng(7)
    blobs = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    blobs.paste((250, 240, 20), (width // 8, height // 2, width // 3, height - 20))
    return blobs


def hashed(picture: Image.Image, options: FingerprintOptions = PLAIN) -> Fingerprint:
    pixels = np.asarray(picture.convert("RGB"))
    return finish(prepare(Picture(pixels, pixels.shape[1], pixels.shape[0])), options)


def apart(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def test_the_scale_keeps_the_side_that_is_hashed() -> None:
    task = FingerprintTask()
    assert task.scale(2048, 4096) == 0.25
    assert task.scale(300, 200) == 1.0


def reencoded(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file)


@pytest.mark.parametrize(
    "copy",
    [
        reencoded(photo(), 20),
        photo().resize((160, 120), Image.Resampling.LANCZOS),
        photo().resize((640, 400), Image.Resampling.BILINEAR),
        photo().convert("L"),
        photo().point(lambda shade: shade * 0.8 + 20),
    ],
    ids=["JPEG at 20", "a quarter as large", "squashed", "grey", "paler"],
)
def test_a_copy_is_near(copy: Image.Image) -> None:
    one, other = hashed(photo()), hashed(copy)
    assert apart(one.hash, other.hash) <= 31
    assert len(one.hash) == 32
    assert one.rotations == ()
    assert one.quality >= 50


def test_a_decode_at_scale_changes_next_to_nothing() -> None:
    large = photo(2400, 1800)
    scale = FingerprintTask().scale(*large.size)
    small = large.resize((round(2400 * scale), round(1800 * scale)), Image.Resampling.BICUBIC)
    assert min(small.size) == SIDE
    assert apart(hashed(large).hash, hashed(small).hash) <= 8


def test_rotations_are_the_hashes_of_the_turned_and_mirrored_picture() -> None:
    """In the order that the contract names; the picture's own hash stays what it is."""
    picture = photo(SIDE, SIDE)  # nothing is resampled, so that they are equal to the bit
    mirrored = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turns = [
        Image.Transpose.ROTATE_270,
        Image.Transpose.ROTATE_180,
        Image.Transpose.ROTATE_90,
    ]  # they count to the left
    expected = [picture.transpose(turn) for turn in turns] + [mirrored] + [mirrored.transpose(turn) for turn in turns]
    found = hashed(picture, TURNED)
    assert found.hash == hashed(picture).hash
    assert list(found.rotations) == [hashed(each).hash for each in expected]
    assert min(apart(found.hash, turned) for turned in found.rotations) > 31


def test_the_smallest_picture_has_a_print_of_no_quality() -> None:
    assert hashed(Image.new("RGB", (1, 1), "red"), TURNED) == Fingerprint(bytes(32), 0, (bytes(32),) * 7)
