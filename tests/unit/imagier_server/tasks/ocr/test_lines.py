# SPDX-License-Identifier: Apache-2.0
"""Lines cut out of a page, and the tensors that they make."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from imagier_server.tasks.ocr.lines import (
    HEIGHT,
    ORIENTER_ROWS,
    ORIENTER_SEES,
    ORIENTER_WIDTH,
    PADDING,
    RECOGNIZER_ROWS,
    WIDTHS,
    Batch,
    Line,
    cut_line,
    orienter_batches,
    orienter_pixels,
    recognizer_batches,
    recognizer_pixels,
)

pytestmark = pytest.mark.unit


def quad(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


def page() -> np.ndarray:
    """Red grows to the right, green downwards."""
    x, y = np.meshgrid(np.arange(250), np.arange(200))
    return np.dstack([x, y, np.zeros_like(x)]).astype(np.uint8)


def line(width: int, number: int = 0) -> Line:
    return Line(number, quad(0, 0, width, HEIGHT))


def test_a_box_of_the_lines_own_height_is_cut_as_it_is():
    pixels = cut_line(page(), Line(0, quad(10, 20, 110, 20 + HEIGHT)))
    assert np.array_equal(pixels, page()[20 : 20 + HEIGHT, 10:110])


def test_other_heights_are_scaled():
    pixels = cut_line(page(), Line(0, quad(10, 20, 110, 44)))
    assert pixels.shape == (HEIGHT, 200, 3)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("skew", [0.0, 8.0])
def test_a_line_is_cut_in_the_direction_of_its_first_edge(turns: int, skew: float):
    """Straight boxes are copied, slanted ones warped: both must look the same way."""
    corners = quad(60, 40, 140, 100)
    corners[:, 0] += skew * np.array([1, 1, -1, -1])
    corners = np.roll(corners, -turns, axis=0)
    pixels = cut_line(page(), Line(0, corners))
    height, width = pixels.shape[:2]
    assert width == Line(0, corners).width
    assert width == pytest.approx(HEIGHT * (80 / 60 if turns % 2 == 0 else 60 / 80), rel=0.2)
    # The page's colours are its coordinates: what is seen at the line's corners is where the corners are.
    seen = [pixels[y, x, :2].astype(int) for y, x in ((2, 2), (2, width - 3), (height - 3, width - 3))]
    for pixel, corner in zip(seen, corners, strict=False):
        assert np.abs(pixel - corner).max() < 9


def test_a_very_long_line_is_squeezed_into_the_widest_tensor():
    pixels = cut_line(np.zeros((200, 4000, 3), np.uint8), Line(0, quad(0, 0, 4000, 10)))
    assert pixels.shape[1] == WIDTHS[-1]


def test_lines_are_padded_to_the_next_width():
    (batch,) = recognizer_batches([line(100)])
    pixels = recognizer_pixels(np.full((HEIGHT, 100, 3), 200, np.uint8), batch)
    assert pixels.shape == (1, HEIGHT, WIDTHS[0], 3)
    assert (pixels[0, :, :100] == 200).all()
    assert (pixels[0, :, 100:] == PADDING).all()


def test_lines_of_one_width_share_a_batch_up_to_the_models_limit():
    lines = [line(100, number) for number in range(RECOGNIZER_ROWS + 1)] + [line(400), line(WIDTHS[-1])]
    batches = recognizer_batches(lines)
    assert {id(each) for batch in batches for each in batch.lines} == {id(each) for each in lines}
    assert [(batch.width, len(batch.lines)) for batch in batches] == [
        (WIDTHS[0], RECOGNIZER_ROWS),
        (WIDTHS[0], 1),
        (480, 1),
        (WIDTHS[-1], 1),
    ]


def test_the_orienter_asks_for_lines_in_their_order():
    lines = [line(20 + number, number) for number in range(ORIENTER_ROWS + 1)]
    assert [batch.lines for batch in orienter_batches(lines)] == [tuple(lines[:-1]), (lines[-1],)]


def test_the_orienter_sees_the_beginnings():
    seen = np.full((HEIGHT, 2000, 3), 200, np.uint8)
    seen[:, ORIENTER_SEES:] = 0
    pixels = orienter_pixels(seen, Batch((line(20), line(2000)), ORIENTER_WIDTH))
    assert pixels.shape == (2, HEIGHT, ORIENTER_WIDTH, 3)
    assert (pixels[0, :, 20:] == PADDING).all()
    assert (pixels[1] == 200).all()


@pytest.mark.parametrize(
    ("corners", "digest"),
    [
        ([(100, 100), (700, 100), (700, 140), (100, 140)], "81972b2bd15d2c29"),
        ([(100, 100), (900, 100), (900, 230), (100, 230)], "eb17935976a07203"),
        ([(100, 100), (700, 190), (690, 240), (90, 150)], "eecfecee5e2da561"),
        ([(200, 100), (900, 300), (840, 520), (140, 320)], "914810ee09a8e29b"),
    ],
    ids=["grown", "shrunk", "turned", "turned and shrunk"],
)
def test_another_opencv_cuts_to_the_same_bits(corners, digest):
    """Those of 4.11 and 4.14, with their vector code and without. OpenCV 5 warps otherwise: the models would see other lines."""
    x, y = np.meshgrid(np.arange(1201), np.arange(901))
    page = np.dstack([(x * 7 + y * 3) % 256, (x * x // 97 + y) % 256, (x * 5 ^ y * 11) % 256]).astype(np.uint8)
    cut = cut_line(page, Line(0, np.array(corners, np.float32)))
    assert hashlib.sha256(cut.tobytes()).hexdigest().startswith(digest)
