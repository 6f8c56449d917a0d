# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from imagier_server.decode.decoder import decode
from imagier_server.decode.formats import Format
from imagier_server.decode.refusals import Caps, TooLargeError
from PIL import Image, ImageCms

CAPS = Caps(pixels=1_000_000, side=5_000)
QUADRANTS = {"red": (0, 0), "lime": (1, 0), "blue": (0, 1), "white": (1, 1)}


def whole(width: int, height: int) -> float:
    del width, height
    return 1.0


def quadrants(width: int = 80, height: int = 40) -> Image.Image:
    """Red, green / blue, white: every turn and mirror of it looks different."""
    picture = Image.new("RGB", (width, height))
    for colour, (right, down) in QUADRANTS.items():
        picture.paste(
            colour, (right * width // 2, down * height // 2, (right + 1) * width // 2, (down + 1) * height // 2)
        )
    return picture


def encoded(picture: Image.Image, fmt: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, fmt, **options)
    return file.getvalue()


def corners(picture: Image.Image) -> list[tuple[int, int, int]]:
    pixels = np.asarray(picture)
    return [tuple(pixels[y, x]) for y in (1, -2) for x in (1, -2)]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(orientation: int) -> None:
    undo: dict[int, Callable[[Image.Image], Image.Image]] = {
        1: lambda picture: picture,
        2: lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda picture: picture.transpose(Image.Transpose.ROTATE_180),
        4: lambda picture: picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda picture: picture.transpose(Image.Transpose.TRANSPOSE),
        6: lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
        7: lambda picture: picture.transpose(Image.Transpose.TRANSVERSE),
        8: lambda picture: picture.transpose(Image.Transpose.ROTATE_270),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = encoded(undo[orientation](quadrants()), exif=exif)
    picture, width, height, _ = decode(stored, Format.PNG, CAPS, whole)
    assert (width, height) == picture.size == (80, 40)
    assert corners(picture) == corners(quadrants())


def test_scale_is_asked_for_the_upright_size_and_obeyed() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    asked = []

    def half(width: int, height: int) -> float:
        asked.append((width, height))
        return 0.5

    picture, width, height, _ = decode(encoded(quadrants(), exif=exif), Format.PNG, CAPS, half)
    assert asked == [(40, 80)]
    assert (width, height) == (40, 80)
    assert picture.size == (20, 40)


def test_jpeg_is_shrunk_by_its_own_decoder_to_the_size_asked_for() -> None:
    picture, width, height, _ = decode(encoded(quadrants(800, 400), "JPEG"), Format.JPEG, CAPS, lambda *_: 0.3)
    assert (width, height) == (800, 400)
    assert picture.size == (240, 120)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I"])
def test_png_modes_become_rgb(mode: str) -> None:
    grey = Image.new("L", (8, 8), 255)
    picture = Image.fromarray(np.full((8, 8), 65535, np.uint16)) if mode.startswith("I") else grey.convert(mode)
    decoded, *_ = decode(encoded(picture), Format.PNG, CAPS, whole)
    assert decoded.mode == "RGB"
    assert decoded.getpixel((4, 4)) == (255, 255, 255)


def test_float_tiff_and_cmyk_jpeg() -> None:
    halves = Image.fromarray(np.array([[0.0, 0.5, 1.0]] * 3, np.float32))
    decoded, *_ = decode(encoded(halves, "TIFF"), Format.TIFF, CAPS, whole)
    assert [decoded.getpixel((x, 1))[0] for x in range(3)] == [0, 127, 255]
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    decoded, *_ = decode(encoded(red, "JPEG"), Format.JPEG, CAPS, whole)
    red_value, green_value, _ = decoded.getpixel((8, 8))
    assert red_value > 200
    assert green_value < 60


def grey_tiff(order: str, values: list[int], lightest: int, compressed: bool) -> bytes:
    """A row of 16-bit grey, its bytes in the `order` of `struct`; by hand, as Pillow compresses only in the machine's own."""
    row = struct.pack(f"{order}{len(values)}H", *values)
    row = zlib.compress(row) if compressed else row
    tags = {
        256: len(values),
        257: 1,
        258: 16,
        259: 8 if compressed else 1,
        262: 1,
        273: 8,
        277: 1,
        278: 1,
        279: len(row),
    }
    entries = [struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in {**tags, 281: lightest}.items()]
    directory = struct.pack(f"{order}H", len(entries)) + b"".join(entries) + bytes(4)
    return struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(row)) + row + directory


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("values", "lightest", "expected"),
    [([0, 300, 32896, 65535], 65535, [0, 1, 128, 255]), ([0, 255, 2048, 4095], 4095, [0, 15, 127, 255])],
)
def test_grey_tiff_of_16_bits_in_either_order(
    values: list[int], lightest: int, expected: list[int], compressed: bool
) -> None:
    for order in "<>":
        image = grey_tiff(order, values, lightest, compressed)
        decoded, *_ = decode(image, Format.TIFF, CAPS, whole)
        assert [decoded.getpixel((x, 0)) for x in range(4)] == [(value,) * 3 for value in expected], order


def test_transparency_is_laid_on_paper_that_shows_the_ink() -> None:
    for ink, paper in (("black", 255), ("white", 0)):
        picture = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
        picture.paste(ink, (5, 5, 15, 15))
        decoded, *_ = decode(encoded(picture), Format.PNG, CAPS, whole)
        assert decoded.getpixel((0, 0)) == (paper,) * 3
        assert decoded.getpixel((10, 10)) == (255 - paper,) * 3


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (10, 10), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    decoded, *_ = decode(data, Format.GIF, CAPS, whole)
    assert decoded.getpixel((5, 5)) == (255, 0, 0)


def test_a_broken_colour_profile_is_ignored_and_a_good_one_obeyed() -> None:
    plain = encoded(quadrants(), icc_profile=b"nonsense")
    assert corners(decode(plain, Format.PNG, CAPS, whole)[0]) == corners(quadrants())
    lab_like = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert corners(decode(encoded(quadrants(), icc_profile=lab_like), Format.PNG, CAPS, whole)[0]) == corners(
        quadrants()
    )


def test_caps_are_read_from_the_header() -> None:
    with pytest.raises(TooLargeError, match="pixels"):
        decode(encoded(Image.new("1", (1001, 1000))), Format.PNG, CAPS, whole)
    with pytest.raises(TooLargeError, match="side"):
        decode(encoded(Image.new("1", (5001, 1))), Format.PNG, CAPS, whole)


def test_the_format_sniffed_is_the_only_one_tried() -> None:
    with pytest.raises(OSError, match="cannot identify"):
        decode(encoded(quadrants(), "BMP"), Format.PNG, CAPS, whole)


def test_a_truncated_file_is_an_error_not_half_a_picture() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    for fmt in (Format.JPEG, Format.PNG, Format.WEBP, Format.TIFF):
        data = encoded(noise, fmt.value.removeprefix("image/"))
        with pytest.raises(Exception):  # noqa: B017, PT011 - Pillow raises what it likes
            decode(data[: len(data) // 2], fmt, CAPS, whole)
