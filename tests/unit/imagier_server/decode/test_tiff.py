# SPDX-License-Identifier: Apache-2.0
"""TIFF files of every kind: each is read as it is meant, or refused in words that are true."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from imagier_server.decode.decoder import decode, load_codecs
from imagier_server.decode.formats import Format
from imagier_server.decode.refusals import Caps, RefusedError, TooLargeError
from support.made_pictures import quadrants
from support.made_tiff import (
    ASSOCIATED,
    BITS,
    COMPRESSION,
    DEFLATE,
    EXTRA,
    GREY,
    INKS,
    JPEG,
    NONE,
    OFFSETS,
    OLD_SUBFILE,
    ORIENTATION,
    PHOTOMETRIC,
    RGB,
    SUBFILE,
    SUBSAMPLING,
    TILE_OFFSETS,
    UNASSOCIATED,
    WEBP,
    WHITE_IS_ZERO,
    WIDTH,
    YCBCR,
    Kind,
    Page,
    kinds,
    layouts,
    tiff,
)

CAPS = Caps(1_000_000, 5_000)


@pytest.fixture(scope="module", autouse=True)
def _codecs() -> None:
    load_codecs()


def pixels(image: bytes) -> np.ndarray:
    return np.asarray(decode(image, Format.TIFF, CAPS, lambda *_: 1.0)[0]).astype(int)


def size(image: bytes) -> tuple[int, int]:
    found = decode(image, Format.TIFF, CAPS, lambda *_: 1.0)
    return found.width, found.height


def refused(image: bytes) -> str:
    with pytest.raises(RefusedError) as raised:
        pixels(image)
    return str(raised.value)


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.name)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True], ids=["classic", "big"])
def test_every_kind_in_every_layout(kind: Kind, order: str, big: bool) -> None:
    for compression in kind.compressions:
        for name, layout in layouts(kind.samples):
            image = tiff(kind.page(compression, **layout), order=order, big=big)
            where = f"{compression} {name}"
            if refusal := kind.refusal(planar=name.startswith("planes")):
                assert refusal in refused(image), where
            else:
                wrong = np.abs(pixels(image) - kind.expected)
                assert (wrong.mean() if compression == JPEG else wrong.max()) <= 3, where


GREYS = np.tile(np.arange(0, 240, 5, np.uint8), (40, 1))


def small(**options: object) -> Page:
    """A thumbnail, all of one grey."""
    return Page(np.full((10, 12), 99, np.uint8), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("tags", [{SUBFILE: 1}, {SUBFILE: 5}, {SUBFILE: 4}, {OLD_SUBFILE: 2}])
def test_the_page_is_read_and_not_what_stands_before_it(tags: dict[int, int], order: str, big: bool) -> None:
    front = small(tags=tags)
    page = Page(GREYS, compression=DEFLATE, tags={SUBFILE: 0})
    for file in (
        tiff(front, page, order=order, big=big),
        tiff(front, front, page, page, order=order, big=big),
        tiff(small(tags=tags, children=[page]), order=order, big=big),
    ):
        assert np.array_equal(pixels(file)[:, :, 0], GREYS)


def test_of_several_pages_the_first_is_read() -> None:
    page, other = Page(GREYS, tags={SUBFILE: 2}), Page(255 - GREYS, tags={SUBFILE: 2})
    assert np.array_equal(pixels(tiff(page, other, small(tags={SUBFILE: 1})))[:, :, 0], GREYS)
    assert size(tiff(*[Page(GREYS[:8], tags={OLD_SUBFILE: 3})] * 3)) == (48, 8)


def test_where_all_are_called_reduced_the_largest_is_read() -> None:
    page = Page(GREYS, tags={SUBFILE: 1})
    assert np.array_equal(pixels(tiff(page))[:, :, 0], GREYS)
    assert np.array_equal(pixels(tiff(small(tags={SUBFILE: 1}), page, small(tags={SUBFILE: 1})))[:, :, 0], GREYS)


@pytest.mark.parametrize("order", ["<", ">"])
def test_ten_thousand_thumbnails_are_not_all_looked_at(order: str) -> None:
    assert size(tiff(*[small(tags={SUBFILE: 1})] * 5000, order=order)) == (12, 10)


@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_a_page_that_lacks_strips_or_tiles_is_no_whole_one(tile: tuple[int, int] | None) -> None:
    page = Page(GREYS, tile=tile, rows=8, tags={TILE_OFFSETS if tile else OFFSETS: [8, 8, 8]})
    assert "fewer strips or tiles" in refused(tiff(page))


def test_the_page_behind_a_thumbnail_is_held_to_the_caps() -> None:
    page = Page(np.zeros((8, 6000), np.uint8))
    with pytest.raises(TooLargeError):
        pixels(tiff(small(tags={SUBFILE: 1}), page))


def test_tiles_of_webp_have_the_size_of_the_tiles() -> None:
    file = tiff(Page(np.asarray(quadrants(64, 64)), RGB, WEBP, tile=(32, 32)))
    assert "wrong size" in refused(
        file.replace(struct.pack("<HHII", 322, 4, 1, 32), struct.pack("<HHII", 322, 4, 1, 48))
    )


@pytest.mark.parametrize(
    ("code", "name"), [(34712, "JPEG 2000"), (33003, "JPEG 2000"), (52546, "JPEG XL"), (34887, "LERC"), (34676, "SGI")]
)
def test_a_compression_that_is_not_read_is_named(code: int, name: str) -> None:
    assert name in refused(tiff(Page(GREYS, tags={COMPRESSION: code})))


@pytest.mark.parametrize(("colours", "name"), [(32845, "LogLuv"), (9, "ICCLab"), (777, "unknown colours")])
def test_colours_that_are_not_read_are_named(colours: int, name: str) -> None:
    assert name in refused(tiff(Page(GREYS, tags={PHOTOMETRIC: colours})))


def test_odd_bits_are_named() -> None:
    assert "10 bits" in refused(tiff(Page(GREYS, tags={BITS: 10})))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True], ids=["classic", "big"])
@pytest.mark.parametrize("layout", [{}, {"rows": 10}, {"tile": (32, 16)}, {"tile": (48, 48)}], ids=str)
def test_webp_inside_tiff(layout: dict[str, object], order: str, big: bool) -> None:
    shown = np.asarray(quadrants(64, 32))
    clear = np.concatenate([shown, np.full((32, 64, 1), 255, np.uint8)], 2)
    assert np.array_equal(pixels(tiff(Page(shown, RGB, WEBP, **layout), order=order, big=big)), shown)
    turned = tiff(Page(clear, RGB, WEBP, tags={EXTRA: UNASSOCIATED, ORIENTATION: 3}, **layout), order=order, big=big)
    assert np.array_equal(pixels(turned), shown[::-1, ::-1])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True], ids=["classic", "big"])
@pytest.mark.parametrize("layout", [{}, {"rows": 16}, {"tile": (32, 16)}], ids=str)
def test_jpeg_inside_tiff(layout: dict[str, object], order: str, big: bool) -> None:
    page = Page(np.asarray(quadrants(64, 32)), YCBCR, JPEG, tags={SUBSAMPLING: [2, 2]}, **layout)
    wrong = np.abs(pixels(tiff(page, order=order, big=big)) - np.asarray(quadrants(64, 32)).astype(int))
    assert wrong.mean() < 4  # chroma runs over the edges


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("extra", [ASSOCIATED, UNASSOCIATED])
@pytest.mark.parametrize("compression", [NONE, DEFLATE])
def test_inks_with_a_fifth_sample(compression: int, extra: int, order: str) -> None:
    inks = np.asarray(quadrants(64, 32).convert("CMYK"))
    more = np.concatenate([inks, np.full((32, 64, 1), 255, np.uint8)], 2)
    plain = pixels(tiff(Page(inks, INKS, compression), order=order))
    assert np.array_equal(pixels(tiff(Page(more, INKS, compression, tags={EXTRA: extra}), order=order)), plain)


def test_a_grey_tiff_of_12_bits_in_either_order() -> None:
    packed = np.frombuffer(bytes.fromhex("fff000800400"), np.uint8)[None]
    for order in "<>":
        for photometric, right in ((GREY, [255, 0, 127, 63]), (WHITE_IS_ZERO, [0, 255, 128, 192])):
            image = tiff(Page(packed, photometric, tags={WIDTH: 4, BITS: 12}), order=order)
            assert pixels(image)[0, :, 0].tolist() == right
