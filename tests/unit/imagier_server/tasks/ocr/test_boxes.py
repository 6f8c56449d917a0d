# SPDX-License-Identifier: Apache-2.0
"""Boxes out of a map of probabilities that we draw ourselves."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from imagier_server.tasks.ocr.boxes import MAX_LINES, Quads, find_boxes

pytestmark = pytest.mark.unit

Box = tuple[int, int, int, int]


def drawn(*boxes: Box, level: int = 230, size: tuple[int, int] = (736, 736)) -> np.ndarray:
    probabilities = np.zeros(size, np.uint8)
    for left, top, right, bottom in boxes:
        probabilities[top:bottom, left:right] = level
    return probabilities


def bounds(quads: Quads) -> list[list[float]]:
    return [[*quad.min(axis=0).tolist(), *quad.max(axis=0).tolist()] for quad in quads]


def test_a_core_grows_by_area_times_ratio_over_perimeter():
    quads = find_boxes(drawn((100, 200, 300, 220)), (1.0, 1.0), 736, 736)
    growth = 1.6 * 200 * 20 / (2 * (200 + 20))
    assert bounds(quads) == [pytest.approx([100 - growth, 200 - growth, 300 + growth, 220 + growth], abs=0.01)]


def test_corners_are_clockwise_from_the_upper_left():
    (quad,) = find_boxes(drawn((100, 200, 300, 220)), (1.0, 1.0), 736, 736)
    assert quad[0] == pytest.approx(quad.min(axis=0))
    assert quad[2] == pytest.approx(quad.max(axis=0))
    assert quad[1][0] > quad[0][0]
    assert quad[3][1] > quad[0][1]


def test_boxes_are_in_the_pages_pixels():
    one = find_boxes(drawn((100, 200, 300, 220)), (1.0, 1.0), 736, 736)
    half = find_boxes(drawn((100, 200, 300, 220)), (2.0, 4.0), 368, 184)
    assert half == pytest.approx(one / np.array((2, 4)))


def test_boxes_are_clipped_to_the_page():
    quads = find_boxes(drawn((0, 0, 300, 40)), (1.0, 1.0), 310, 500)
    assert bounds(quads)[0][:2] == [0, 0]
    assert bounds(quads)[0][2] == 310


def test_a_tilted_core_gives_a_tilted_box():
    probabilities = np.zeros((736, 736), np.uint8)
    cv2.fillPoly(probabilities, [cv2.boxPoints(((300, 300), (200, 20), 10)).astype(np.int32)], 255)
    (quad,) = find_boxes(probabilities, (1.0, 1.0), 736, 736)
    along = quad[1] - quad[0]
    assert np.degrees(np.arctan2(along[1], along[0])) == pytest.approx(10, abs=1)


@pytest.mark.parametrize("level", [0, 76, 120])
def test_faint_regions_are_no_text(level: int):
    assert len(find_boxes(drawn((100, 200, 300, 220), level=level), (1.0, 1.0), 736, 736)) == 0


def test_specks_are_no_text():
    assert len(find_boxes(drawn((10, 10, 12, 12)), (1.0, 1.0), 736, 736)) == 0


def test_what_is_in_the_padding_is_no_text():
    assert len(find_boxes(drawn((600, 600, 700, 620)), (1.0, 1.0), 500, 500)) == 0


def test_two_lines_are_two_boxes():
    assert len(find_boxes(drawn((100, 100, 300, 120), (100, 160, 300, 180)), (1.0, 1.0), 736, 736)) == 2


def test_of_too_many_lines_the_upper_ones_are_kept():
    boxes = [(x, y, x + 8, y + 6) for x in range(10, 2000, 20) for y in range(10, 2000, 20)]
    quads = find_boxes(drawn(*boxes, size=(2016, 2016)), (1.0, 1.0), 2016, 2016)
    assert len(quads) == MAX_LINES < len(boxes)
    in_a_row = len(boxes) ** 0.5
    assert quads[:, :, 1].max() < 10 + 20 * MAX_LINES / in_a_row


def test_a_bent_line_is_text_though_it_fills_little_of_its_rectangle():
    bent = np.array([(100, 240), (250, 206), (300, 192), (400, 190)], np.int32)
    line, blot = np.zeros((736, 736), np.uint8), np.zeros((736, 736), np.uint8)
    cv2.polylines(line, [bent], False, (255,), 11)
    cv2.polylines(blot, [bent], False, (150,), 11)
    assert len(find_boxes(line, (1.0, 1.0), 736, 736)) == 1
    assert len(find_boxes(blot, (1.0, 1.0), 736, 736)) == 0
