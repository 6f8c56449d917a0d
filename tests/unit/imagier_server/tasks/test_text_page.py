# SPDX-License-Identifier: Apache-2.0
"""The page and the canvas: sizes, scales, and shapes that no camera makes."""

from __future__ import annotations

import numpy as np
import pytest
from imagier_server.tasks.text_page import CANVAS_SIDES, MAX_SIDE, MIN_SIDE, prepare_page, reading_scale

pytestmark = pytest.mark.unit

SIZES = [
    (1, 1),
    (20000, 1),
    (1, 20000),
    (40, 30),
    (640, 480),
    (736, 736),
    (2016, 2016),
    (2400, 1800),
    (900, 4000),
    (5000, 40),
]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_canvas_is_one_of_the_detectors(width: int, height: int):
    page = prepare_page(np.zeros((height, width, 3), np.uint8))
    assert page.canvas.shape[0] in CANVAS_SIDES
    assert page.canvas.shape[1] in CANVAS_SIDES
    assert page.canvas.dtype == np.uint8


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_page_fits_its_canvas(width: int, height: int):
    page = prepare_page(np.zeros((height, width, 3), np.uint8))
    page_height, page_width = page.pixels.shape[:2]
    assert page_width * page.scale[0] <= page.canvas.shape[1] + 0.01
    assert page_height * page.scale[1] <= page.canvas.shape[0] + 0.01


def test_the_picture_is_in_the_corner_and_the_rest_is_padding():
    page = prepare_page(np.full((800, 1000, 3), 200, np.uint8))
    assert page.canvas.shape == (1024, 1024, 3)
    assert (page.canvas[:800, :1000] == 200).all()
    assert (page.canvas[:, 1000:] == 0).all()
    assert (page.canvas[800:] == 0).all()


def test_a_small_picture_is_enlarged_for_the_detector_only():
    page = prepare_page(np.zeros((100, 150, 3), np.uint8))
    assert page.pixels.shape == (100, 150, 3)
    assert min(100 * page.scale[1], 150 * page.scale[0]) == MIN_SIDE


def test_a_large_picture_is_shrunk():
    page = prepare_page(np.zeros((3000, 4000, 3), np.uint8))
    assert page.pixels.shape == (1500, MAX_SIDE, 3)
    assert page.scale == (1.0, 1.0)


@pytest.mark.parametrize(
    ("width", "height", "scale"),
    [(1000, 800, 1.0), (4000, 3000, 0.5), (3000, 4000, 0.5), (6000, 1000, 0.736), (20000, 1, 1.0), (1, 1, 1.0)],
)
def test_reading_scale(width: int, height: int, scale: float):
    assert reading_scale(width, height) == pytest.approx(scale)
