# SPDX-License-Identifier: Apache-2.0
"""Unusual pictures through real decoder processes: the right pixels."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from imagier_server.decode.process import DecoderProcess
from imagier_server.errors import InvalidImageError
from imagier_server.messages import Picture
from PIL import Image
from support import made_pictures as made
from support.decoding import colours, decode, near, refused
from support.heic import heic
from support.made_pictures import QUADRANTS, encoded, quadrants


def test_print_colours(decoder: DecoderProcess) -> None:
    for colour in (made.RED, made.LIME, made.BLUE, made.WHITE, (200, 120, 40)):
        cmyk = Image.new("CMYK", (64, 64), (*(255 - value for value in colour), 0))
        for image in (encoded(cmyk, "JPEG", quality=95), encoded(cmyk, "TIFF"), made.ycck(colour)):
            picture = decode(decoder, image)
            assert near(picture.pixels[32, 32], colour, 6)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "I;16"])
def test_grey_in_every_mode_of_png(decoder: DecoderProcess, mode: str) -> None:
    ramp = np.linspace(0, 255, 256, dtype=np.uint8)[np.newaxis].repeat(8, 0)
    expected = np.where(ramp > 127, 255, 0) if mode == "1" else ramp
    if mode == "I;16":
        picture = Image.fromarray(ramp.astype(np.uint16) * 257)
    elif mode == "1":
        picture = Image.fromarray(ramp).convert("1", dither=Image.Dither.NONE)
    elif mode == "PA":
        picture = Image.fromarray(ramp).convert("P")
        picture.info["transparency"] = bytes([255] * 256)
    else:
        picture = Image.fromarray(ramp).convert(mode)
    found = (decode(decoder, encoded(picture))).pixels
    assert near(found, expected[..., np.newaxis].repeat(3, 2), 1)


def test_sixteen_bits_a_colour_and_sixteen_bit_grey_with_alpha(decoder: DecoderProcess) -> None:
    colours_16 = b"\0" + b"".join(struct.pack("!HHH", *(value * 257 for value in colour)) for colour in QUADRANTS)
    assert [tuple(pixel) for pixel in (decode(decoder, made.png((4, 1), colours_16, depth=16))).pixels[0]] == [
        *QUADRANTS
    ]
    grey = b"\0" + struct.pack("!HHHHHH", 0, 65535, 32896, 65535, 0, 0)
    found = (decode(decoder, made.png((3, 1), grey, depth=16, colour=4))).pixels[0, :, 0]
    assert near(found, (0, 128, 255), 1), "opaque black, opaque grey, and paper"


def test_transparency_lies_on_paper(decoder: DecoderProcess) -> None:
    ink = Image.new("LA", (20, 20), (0, 0))
    ink.paste((0, 255), (5, 5, 15, 15))
    found = (decode(decoder, encoded(ink))).pixels
    assert tuple(found[0, 0]) == made.WHITE
    assert tuple(found[10, 10]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 127, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([-1000.0, 0.0, 1000.0], [0, 127, 255]),
        ([7.0, 7.0, 7.0], [7, 7, 7]),
        ([1e30, 2e30, 3e30], [0, 127, 255]),
    ],
)
def test_float_tiff(decoder: DecoderProcess, values: list[float], expected: list[int]) -> None:
    image = encoded(Image.fromarray(np.array([values] * 3, np.float32)), "TIFF")
    assert near((decode(decoder, image)).pixels[1, :, 0], expected, 1)


@pytest.mark.parametrize(
    ("values", "marked", "expected"),
    [
        ([0, 2048, 4095], None, [0, 7, 15]),
        ([0, 32896, 65535], None, [0, 128, 255]),
        ([0, 2048, 4095], 4095, [0, 127, 255]),
        ([0, 2048, 4095], 1000, [0, 7, 15]),
        ([0, 0, 0], 0, [0, 0, 0]),
    ],
    ids=["dark", "full", "12 bits", "a mark that lies", "no light at all"],
)
def test_grey_tiff_of_16_bits(
    decoder: DecoderProcess, values: list[int], marked: int | None, expected: list[int]
) -> None:
    grey = Image.fromarray(np.array([values] * 3, np.uint16))
    image = encoded(grey, "TIFF", **({} if marked is None else {"tiffinfo": {281: marked}}))
    assert near(decode(decoder, image).pixels[1, :, 0], expected, 1)


def test_grey_tiff_of_12_bits(decoder: DecoderProcess) -> None:
    image = encoded(Image.fromarray(np.array([[0xFFFF, 0]], np.uint16)), "TIFF")
    image = image.replace(struct.pack("<HHII", 258, 3, 1, 16), struct.pack("<HHII", 258, 3, 1, 12))
    assert near(decode(decoder, image).pixels[0, :, 0], [255, 239], 1), "two samples in three bytes: FFF F00"


def test_float_tiff_with_a_hole_in_it(decoder: DecoderProcess) -> None:
    image = encoded(Image.fromarray(np.array([[0.0, 1.0, np.nan]] * 3, np.float32)), "TIFF")
    assert decode(decoder, image).pixels[1, :, 0].tolist() == [0, 255, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_float_tiff_without_numbers(decoder: DecoderProcess, value: float) -> None:
    image = encoded(Image.fromarray(np.array([[value, 1.0, value]] * 3, np.float32)), "TIFF")
    assert "infinite or NaN" in refused(decoder, image)


def test_lab_tiff(decoder: DecoderProcess) -> None:
    from PIL import ImageCms

    lab = ImageCms.profileToProfile(
        quadrants(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert near(colours(decode(decoder, encoded(lab, "TIFF"))), QUADRANTS, 25)


@pytest.mark.parametrize("compression", [None, "jpeg", "tiff_lzw", "tiff_deflate", "packbits"])
def test_the_first_page_of_a_tiff(decoder: DecoderProcess, compression: str | None) -> None:
    other = Image.new("RGB", (300, 10), "black")
    image = encoded(quadrants(), "TIFF", save_all=True, append_images=[other], compression=compression)
    picture = decode(decoder, image)
    assert (picture.width, picture.height) == (128, 64)
    assert near(colours(picture), QUADRANTS, 3)


@pytest.mark.parametrize("fmt", ["GIF", "WEBP", "PNG", "AVIF", "MPO"])
def test_the_first_frame_of_an_animation(decoder: DecoderProcess, fmt: str) -> None:
    options = {"lossless": True} if fmt == "WEBP" else {"quality": 100} if fmt in {"AVIF", "MPO"} else {}
    others = [Image.new("RGB", (128, 64), colour) for colour in ("black", "gray")]
    picture = decode(decoder, encoded(quadrants(), fmt, save_all=True, append_images=others, **options))
    assert near(colours(picture), QUADRANTS, 8)


def test_a_heic_item_whose_type_is_no_text(decoder: DecoderProcess) -> None:
    """Found by the fuzzer: it ended the process."""
    sound = heic(quadrants())
    broken = sound.replace(b"\0\0Exif", b"\0\0Exi\xff", 1)
    assert broken != sound
    with pytest.raises(InvalidImageError, match="name is not UTF-8"):
        decode(decoder, broken)


@pytest.mark.parametrize("turns", range(4))
def test_heic(decoder: DecoderProcess, turns: int) -> None:
    picture = decode(decoder, heic(quadrants(), turns))
    assert (picture.width, picture.height) == ((64, 128) if turns % 2 else (128, 64))
    expected = np.rot90(np.array(QUADRANTS).reshape(2, 2, 3), turns).reshape(4, 3)
    assert near(colours(picture), expected, 2)


def test_heic_of_tiles(decoder: DecoderProcess) -> None:
    picture = decode(decoder, heic(quadrants(64, 64), grid=(3, 2)))
    assert (picture.width, picture.height) == (192, 128)
    for left in range(0, 192, 64):
        for top in range(0, 128, 64):
            tile = picture.pixels[top : top + 64, left : left + 64]
            assert near(colours(Picture(tile, 64, 64)), QUADRANTS, 2)


def test_avif(decoder: DecoderProcess) -> None:
    assert near(colours(decode(decoder, encoded(quadrants(), "AVIF", quality=95))), QUADRANTS, 8)
    clear = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    assert near((decode(decoder, encoded(clear, "AVIF"))).pixels, 255, 2)


UPRIGHT = Image.Transpose


STORED = {  # how a camera held so has stored the quadrants
    1: None,
    2: UPRIGHT.FLIP_LEFT_RIGHT,
    3: UPRIGHT.ROTATE_180,
    4: UPRIGHT.FLIP_TOP_BOTTOM,
    5: UPRIGHT.TRANSPOSE,
    6: UPRIGHT.ROTATE_90,
    7: UPRIGHT.TRANSVERSE,
    8: UPRIGHT.ROTATE_270,
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "TIFF", "TIFF tiff_lzw", "TIFF jpeg", "AVIF"])
def test_every_orientation_in_every_format(decoder: DecoderProcess, fmt: str, orientation: int) -> None:
    turn = STORED[orientation]
    stored = quadrants() if turn is None else quadrants().transpose(turn)
    tag = Image.Exif()
    tag[0x0112] = orientation
    name, *compression = fmt.split()
    options = {"compression": compression[0]} if compression else {} if name == "TIFF" else {"quality": 100}
    image = encoded(stored, name, exif=tag, **options)
    picture = decode(decoder, image)
    assert (picture.width, picture.height) == (128, 64)
    assert near(colours(picture), QUADRANTS, 8)


@pytest.mark.parametrize("turns", range(4))
def test_a_heic_is_turned_by_its_container_and_not_by_its_exif(decoder: DecoderProcess, turns: int) -> None:
    """ISO/IEC 23008-12, annex A: cameras write both, and turning twice would be wrong."""
    plain = decode(decoder, heic(quadrants(), turns))
    tagged = decode(decoder, heic(quadrants(), turns, exif=made.orientation(6)))
    assert (tagged.pixels == plain.pixels).all()


@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
def test_a_lying_orientation_is_ignored(decoder: DecoderProcess, orientation: int) -> None:
    picture = decode(decoder, encoded(quadrants(), exif=made.orientation(orientation)))
    assert (picture.width, picture.height) == (128, 64)
    assert colours(picture) == [*QUADRANTS]


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1."""
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("colour", [(100, 180, 80), (200, 100, 50), (40, 60, 200), (128, 128, 128), (255, 255, 255)])
@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_adobe_rgb(decoder: DecoderProcess, fmt: str, colour: tuple[int, int, int]) -> None:
    from_d50 = np.array(  # XYZ of D50 to linear sRGB
        [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]]
    )
    linear = (np.array(colour) / 255) ** (563 / 256)
    expected = to_srgb(from_d50 @ (np.array(made.ADOBE_RGB_MATRIX).T @ linear))
    options = {"JPEG": {"quality": 100}, "WEBP": {"lossless": True}}.get(fmt, {})
    image = encoded(Image.new("RGB", (16, 16), colour), fmt, icc_profile=made.adobe_rgb(), **options)
    found = (decode(decoder, image)).pixels[8, 8]
    assert near(found, expected, 3)
    assert colour in {(128, 128, 128), made.WHITE} or not near(found, colour, 6), "it was converted"


def test_grey_with_a_profile_of_its_own(decoder: DecoderProcess) -> None:
    image = encoded(Image.new("L", (16, 16), 128), icc_profile=made.linear_grey())
    assert near((decode(decoder, image)).pixels, to_srgb(np.array(128 / 255)), 2)


@pytest.mark.parametrize(
    "profile",
    [
        b"nonsense",
        b"\0" * 128,
        made.adobe_rgb()[:200],
        made.adobe_rgb()[:-20],
        made.linear_grey(),
        made.adobe_rgb().replace(b"curv", b"vruc"),
        struct.pack("!I", 2**32 - 1) + made.adobe_rgb()[4:],
    ],
    ids=["nonsense", "zeros", "cut short", "without its end", "of grey", "without curves", "of four gigabytes"],
)
def test_a_broken_or_foreign_profile_is_ignored(decoder: DecoderProcess, profile: bytes) -> None:
    assert colours(decode(decoder, encoded(quadrants(), icc_profile=profile))) == [*QUADRANTS]
