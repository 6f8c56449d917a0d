# SPDX-License-Identifier: Apache-2.0
"""In which directions the lines of a page read."""

from __future__ import annotations

import math

import numpy as np
import pytest
from imagier_server.tasks.ocr.directions import first_ways, other_ways, reading_quads
from imagier_server.tasks.ocr.lines import HEIGHT, Line, cut_line

pytestmark = pytest.mark.unit


def box(x: float, y: float, width: float, height: float) -> np.ndarray:
    """Corners of a line that reads rightwards."""
    return np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], np.float32)


def turned(corners: np.ndarray, degrees: float) -> np.ndarray:
    """About (200, 200), clockwise as seen."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return ((corners - 200) @ np.array([(cosine, sine), (-sine, cosine)]) + 200).astype(np.float32)


PROSE = [box(40, 40 + 30 * row, 300, 20) for row in range(5)]


@pytest.mark.parametrize("degrees", [-40, -10, 0, 10, 40, 60, 80, 90, 100, 130])
def test_lines_read_along_the_page_whatever_corner_comes_first(degrees: float):
    page = np.stack([turned(line, degrees) for line in (*PROSE, box(40, 200, 22, 20), box(40, 240, 16, 24))])
    shuffled = np.stack([np.roll(line, turns % 4, axis=0) for turns, line in enumerate(page)])
    assert np.allclose(reading_quads(shuffled), page, atol=1e-3)


@pytest.mark.parametrize("degrees", [140, 180, 220, 270, 300])
def test_beyond_that_they_begin_at_the_other_end(degrees: float):
    page = np.stack([turned(line, degrees) for line in PROSE])
    assert np.allclose(reading_quads(page), np.roll(page, 2, axis=1), atol=1e-3)


def test_a_long_line_across_reads_down_the_page():
    spine = turned(box(100, 190, 200, 20), 90)
    page = np.stack([*PROSE, np.roll(spine, 1, axis=0)])
    assert np.allclose(reading_quads(page)[-1], spine, atol=1e-3)


def test_a_tall_digit_stands_as_the_page_does():
    digit = box(40, 220, 12, 22)
    assert np.array_equal(reading_quads(np.stack([*PROSE, digit]))[-1], digit)
    alone = reading_quads(digit[np.newaxis])[0]
    assert alone[0].tolist() == [52, 220]  # by itself it might be a column of two


def test_nothing_has_no_direction():
    assert reading_quads(np.empty((0, 4, 2), np.float32)).shape == (0, 4, 2)
    assert first_ways([], np.empty(0, np.float32)) == []


def lines(*corners: np.ndarray) -> list[Line]:
    return [Line(number, each) for number, each in enumerate(corners)]


def ways(upside_down: list[float], *corners: np.ndarray) -> list[tuple[int, bool]]:
    """The lines' numbers, and whether each is turned."""
    cut = lines(*(corners or (box(0, 0, 100, 48),) * len(upside_down)))
    found = first_ways(cut, np.array(upside_down, np.float32))
    return [(each.number, not np.array_equal(each.corners, cut[each.number].corners)) for each in found]


def test_upright_lines_are_read_as_they_are():
    assert ways([0.0, 0.4, 0.1]) == [(0, False), (1, False), (2, False)]


def test_a_page_upside_down_is_turned():
    assert ways([0.95, 0.99, 1.0]) == [(0, True), (1, True), (2, True)]


def test_a_line_unlike_the_others_is_read_both_ways():
    assert ways([0.0, 0.99, 0.0]) == [(0, False), (1, False), (1, True), (2, False)]
    assert ways([1.0, 0.0, 1.0]) == [(0, True), (1, False), (1, True), (2, True)]


def test_a_single_line_that_seems_upside_down_is_read_both_ways():
    assert ways([1.0]) == [(0, False), (0, True)]


def test_a_long_line_weighs_more_than_two_short_ones():
    assert (0, True) in ways([1.0, 0.0, 1.0], box(0, 0, 300, 20), box(0, 40, 40, 20), box(0, 80, 40, 20))
    assert (0, False) not in ways([1.0, 0.0, 1.0], box(0, 0, 300, 20), box(0, 40, 40, 20), box(0, 80, 40, 20))


def test_each_axis_votes_for_itself():
    down = [turned(box(100, 150 + 30 * row, 200, 20), 90) for row in range(2)]
    assert ways([0.0, 0.0, 0.0, 1.0, 1.0], *PROSE[:3], *down) == [
        (0, False),
        (1, False),
        (2, False),
        (3, True),
        (4, True),
    ]


def test_turning_turns_pixels_and_corners():
    page = np.random.default_rng(1).integers(0, 255, (HEIGHT, 250, 3), np.uint8)
    line = Line(0, box(0, 0, 250, HEIGHT))
    _, other = first_ways([line], np.ones(1, np.float32))
    assert np.array_equal(cut_line(page, other), page[::-1, ::-1])
    assert other.corners[0].tolist() == [250, HEIGHT]
    assert other.corners[2].tolist() == [0, 0]


def test_what_makes_no_sense_is_read_from_the_other_end_and_a_square_across_too():
    long, square = lines(box(10, 10, 200, 20), box(10, 10, 30, 20))
    assert [way.corners[0].tolist() for way in other_ways(long)] == [[210, 30]]
    assert sorted(way.corners[0].tolist() for way in other_ways(square)) == [[10, 30], [40, 10], [40, 30]]
