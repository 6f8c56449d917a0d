# SPDX-License-Identifier: Apache-2.0
"""Pictures of PQ, HLG and wide primaries, made from sRGB ones by ITU-R BT.2100's formulas: what was in them comes out again."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from imagier_server.decode import cicp
from imagier_server.decode.cicp import Cicp
from imagier_server.decode.decoder import decode, load_codecs
from imagier_server.decode.formats import sniff
from imagier_server.decode.refusals import Caps
from PIL import Image
from support.heic import heic
from support.made_pictures import adobe_rgb, chunk, described, encoded, icc, png

BT709, BT2020, P3, SRGB_CURVE, LINEAR, PQ, HLG = 1, 9, 12, 13, 8, 16, 18
WHITE = 203.0
# x and y of red, green and blue; the white is D65.
XY = {
    BT709: ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}


@pytest.fixture(scope="module", autouse=True)
def _codecs() -> None:
    load_codecs()


def to_xyz(primaries: int) -> np.ndarray:
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in XY[primaries]]).T
    white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
    return columns * np.linalg.solve(columns, white)


def light_of(srgb: np.ndarray) -> np.ndarray:
    value = srgb / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def pq(light: np.ndarray) -> np.ndarray:
    power = (np.clip(light, 0, None) / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(light: np.ndarray, luminance: np.ndarray) -> np.ndarray:
    """Of a screen of 1000 cd/m²."""
    of_screen = light / 1000
    y = (of_screen @ luminance)[..., None]
    scene = of_screen * np.where(y > 0, np.maximum(y, 1e-9) ** (1 / 1.2 - 1), 0)
    return np.where(
        scene <= 1 / 12, np.sqrt(3 * scene), 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    )


def coded(srgb: np.ndarray, code: Cicp, brighter: float = 1.0) -> np.ndarray:
    """The picture of 8 bits whose colours are those of an sRGB one, in these code points."""
    light = light_of(srgb) @ (np.linalg.inv(to_xyz(code.primaries)) @ to_xyz(BT709)).T * brighter
    light = np.clip(light, 0, None)
    if code.transfer == PQ:
        value = pq(light * WHITE)
    elif code.transfer == HLG:
        value = hlg(light * WHITE, to_xyz(code.primaries)[1])
    elif code.transfer == LINEAR:
        value = light
    else:
        value = np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
    return np.round(np.clip(value, 0, 1) * 255).astype(np.uint8)


def colours() -> np.ndarray:
    """Soft shapes of many colours, none of them too dark for 8 bits."""
    small = np.random.default_rng(5).integers(40, 256, (5, 6, 3), np.uint8)
    picture = np.asarray(Image.fromarray(small).resize((96, 64), Image.Resampling.BICUBIC)).copy()
    picture[:10], picture[10:16] = 255, 128
    return picture


def pixels(image: bytes) -> np.ndarray:
    return np.asarray(decode(image, sniff(image), Caps(1_000_000, 5_000), lambda *_: 1.0)[0]).astype(int)


def as_png(picture: np.ndarray, code: Cicp, *chunks: bytes, alpha: bool = False, deep: bool = False) -> bytes:
    if alpha:
        picture = np.concatenate([picture, np.full((*picture.shape[:2], 1), 255, np.uint8)], 2)
    samples = (picture.astype(">u2") * 257) if deep else picture
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    said = chunk(b"cICP", bytes([*code, 0, 1]))
    size = (picture.shape[1], picture.shape[0])
    return png(size, rows, depth=16 if deep else 8, colour=6 if alpha else 2, chunks=[said, *chunks])


def as_jpeg(picture: np.ndarray, code: Cicp) -> bytes:
    tag = b"cicp" + bytes(4) + bytes([*code, 0, 1])
    profile = icc(b"RGB ", (b"desc", described(b"HDR")), (b"cicp", tag))
    return encoded(Image.fromarray(picture), "JPEG", quality=98, subsampling=0, icc_profile=profile)


def as_avif(picture: np.ndarray, code: Cicp) -> bytes:
    file = encoded(Image.fromarray(picture), "AVIF", quality=98, subsampling="4:4:4")
    at = file.index(b"nclx") + 4
    return file[:at] + struct.pack("!HH", *code) + file[at + 4 :]


def as_heic(picture: np.ndarray, code: Cicp) -> bytes:
    return heic(Image.fromarray(picture), colours=code, grid=(2, 1))


CARRIERS: dict[str, Callable[[np.ndarray, Cicp], bytes]] = {
    "png": as_png,
    "png of 16 bits": lambda picture, code: as_png(picture, code, deep=True),
    "png with alpha": lambda picture, code: as_png(picture, code, alpha=True),
    "png with a profile": lambda picture, code: as_png(
        picture, code, chunk(b"iCCP", b"x\0\0" + zlib.compress(adobe_rgb()))
    ),
    "jpeg": as_jpeg,
    "avif": as_avif,
    "heic": as_heic,
}


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("code", [Cicp(BT709, PQ), Cicp(BT2020, PQ), Cicp(P3, PQ), Cicp(BT2020, HLG), Cicp(BT709, HLG)])
def test_what_is_white_on_paper_is_white_again(carrier: str, code: Cicp) -> None:
    right = colours()
    found = pixels(CARRIERS[carrier](coded(right, code), code))[:, : right.shape[1]]
    # Eight bits of PQ are steps of three in sRGB. HLG's gamma is taken of each colour for itself, and not of their light together.
    assert np.abs(found - right).mean() <= (10 if code.transfer == HLG else 6)
    assert np.abs(found[12:16, 5:60] - 128).max() <= 10, "grey"
    # Where some colours are lighter than white, something is kept for them.
    assert (found[2:8, 5:60] >= 240).all(), "white"


@pytest.mark.parametrize("carrier", ["png", "avif", "heic"])
@pytest.mark.parametrize("code", [Cicp(P3, SRGB_CURVE), Cicp(BT2020, 1), Cicp(BT709, LINEAR), Cicp(P3, LINEAR)])
def test_wide_primaries_and_linear_light_without_a_profile(carrier: str, code: Cicp) -> None:
    right = colours()
    found = pixels(CARRIERS[carrier](coded(right, code), code))[:, : right.shape[1]]
    assert np.abs(found - right).mean() <= 4


@pytest.mark.parametrize("carrier", ["png", "avif", "heic", "jpeg"])
@pytest.mark.parametrize("code", [(1, 13), (1, 1), (2, 2), (6, 6), (5, 6), (0, 0), (255, 99), (9, 99), (12, 0)])
def test_what_is_srgb_or_unknown_keeps_every_bit(carrier: str, code: tuple[int, int]) -> None:
    file = CARRIERS[carrier](colours(), Cicp(1, 13))
    if carrier == "heic" and code[1] in {0, 99}:
        return  # libheif itself refuses what is reserved
    assert np.array_equal(pixels(CARRIERS[carrier](colours(), Cicp(*code))), pixels(file))


def test_highlights_are_rolled_off_and_the_order_of_light_is_kept() -> None:
    code = Cicp(BT2020, PQ)
    nits = np.array([1, 10, 50, 100, 203, 400, 700, 1000, 2000, 4000])
    ramp = np.repeat(np.repeat(np.round(pq(nits)[None] * 255).astype(np.uint8)[..., None], 3, 2), 20, 1).repeat(20, 0)
    found = pixels(as_png(ramp, code))[5, 10::20]
    levels = found[:, 0].tolist()
    assert levels == sorted(levels)
    assert (found.max(1) - found.min(1) <= 2).all(), "grey stays grey"
    assert levels[3] > 150 and levels[4] > 190 and levels[-1] >= 250  # noqa: PT018
    assert levels[5] > levels[4] + 5, "highlights are not cut off"


def test_a_few_sparks_do_not_darken_the_picture() -> None:
    code, right = Cicp(BT2020, PQ), colours()
    picture = coded(right, code)
    picture[40, 40] = 255
    found = pixels(as_png(picture, code))
    assert np.abs(found - right).mean() <= 6


def test_a_pngs_icc_the_name_for_pq() -> None:
    """High Dynamic Range in PNG (W3C, 2017), from before there was cICP."""
    right, code = colours(), Cicp(BT2020, PQ)
    said = chunk(b"iCCP", b"ITUR_2100_PQ_FULL\0\0" + zlib.compress(adobe_rgb()))
    picture = coded(right, code)
    rows = b"".join(b"\0" + row.tobytes() for row in picture)
    assert np.abs(pixels(png((96, 64), rows, chunks=[said])) - right).mean() <= 6


def test_a_grey_png_of_pq() -> None:
    grey = np.round(pq(np.full((8, 8), WHITE)) * 255).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in grey)
    assert (pixels(png((8, 8), rows, colour=0, chunks=[chunk(b"cICP", bytes([9, 16, 0, 1]))])) >= 248).all()


def test_broken_words_on_colours_say_nothing() -> None:
    assert cicp.of_profile(icc(b"RGB ", (b"cicp", b"cicp"))) is None
    assert cicp.of_profile(b"cicp" * 40) is None
    assert cicp.of_png(b"\x89PNG\r\n\x1a\n" + b"\xff" * 40) is None
    assert cicp.of_properties([(b"colr", b"nclx\0")]) is None
