# SPDX-License-Identifier: Apache-2.0
"""What of a map, drawn here, deserves a closer look."""

from __future__ import annotations

import numpy as np
import pytest
from imagier_server.tasks.ocr.hints import (
    DOUBT,
    HOLES,
    MARGIN,
    SAMPLE,
    TRACE,
    TRUSTED,
    around,
    find_details,
    find_hints,
    keep_lost,
    looks_like_print,
    shows_line,
    shows_text,
)

pytestmark = pytest.mark.unit

Box = tuple[int, int, int, int]


def drawn(*boxes: Box, level: int = 230, size: tuple[int, int] = (500, 500)) -> np.ndarray:
    probabilities = np.zeros(size, np.uint8)
    for left, top, right, bottom in boxes:
        probabilities[top:bottom, left:right] = level
    return probabilities


def test_a_low_line_is_a_trace_and_a_high_one_is_read_as_it_is():
    hints = find_hints(drawn((100, 200, 200, 204)))
    assert hints.traces == [(100 - MARGIN, 200 - MARGIN, 201 + MARGIN, 205 + MARGIN)]
    assert not find_hints(drawn((100, 200, 300, 220))).traces


def test_a_long_region_that_is_hardly_certain_is_trusted_from_twice_the_height_on():
    # A slanted line at a glance: too little of its rectangle is filled for a good box.
    low, high, blot = (100, 200, 400, 208), (100, 300, 460, 340), (100, 400, 112, 412)
    doubtful = round(DOUBT) - 1
    assert find_hints(drawn(low, level=doubtful), trusted=12).traces == [
        (100 - MARGIN, 200 - MARGIN, 401 + MARGIN, 209 + MARGIN)
    ]
    assert not find_hints(drawn(low, level=round(DOUBT) + 40), trusted=12).traces
    assert not find_hints(drawn(high, level=doubtful), trusted=12).traces
    assert not find_hints(drawn(blot, level=doubtful), trusted=12).traces


def test_what_is_trusted_and_what_is_followed_can_be_said():
    low, faint = drawn((100, 200, 300, 210)), drawn((100, 200, 200, 204), level=TRACE - 10)
    assert not find_hints(low).traces
    assert find_hints(low, trusted=2 * TRUSTED).traces
    assert not find_hints(faint).traces
    assert find_hints(faint, trace=TRACE - 20).traces


def test_a_trace_at_the_edge_stays_within_the_view():
    assert find_hints(drawn((0, 0, 40, 4))).traces == [(0, 0, 41 + MARGIN, 5 + MARGIN)]


def mottled(holes: int) -> np.ndarray:
    probabilities = drawn((100, 100, 400, 400))
    for hole in range(holes):
        x, y = 200 + 10 * (hole % 8), 300 + 10 * (hole // 8)
        probabilities[y : y + 5, x : x + 5] = 0
    return probabilities


def test_a_mottled_region_is_sampled_where_most_of_its_holes_are():
    hints = find_hints(mottled(40))
    assert hints.traces == []
    (region,), (sample,) = hints.regions, hints.samples
    assert region == (100, 100, 401, 401)
    left, top, right, bottom = sample
    assert (right - left, bottom - top) == (SAMPLE, SAMPLE)
    assert left < 235 < right
    assert top < 322 < bottom
    assert find_hints(mottled(HOLES - 1)).samples == []


def test_lines_in_a_sample_are_print_and_blots_are_not():
    lines = drawn(*((20, y, 180, y + 6) for y in range(10, 190, 20)), size=(200, 200))
    assert looks_like_print(lines, (0, 0, 200, 200))
    assert not looks_like_print(drawn((10, 10, 190, 190), size=(200, 200)), (0, 0, 200, 200))
    assert not looks_like_print(drawn((10, 10, 60, 14), size=(200, 200)), (0, 0, 200, 200)), "too little of it"


def test_boxes_become_areas_of_a_view():
    quads = np.array([[(100, 100), (300, 100), (300, 120), (100, 120)]], np.float32)
    assert around(quads, (0.5, 0.5), 200, 200) == [(50 - MARGIN, 50 - MARGIN, 150 + MARGIN, 60 + MARGIN)]


def test_what_a_closer_look_loses_is_kept_as_it_was_and_what_it_shows_is_not():
    before, seen = drawn((20, 20, 60, 24), (20, 100, 60, 104)), drawn((40, 202, 120, 206), size=(1000, 1000))
    traces, places = [(10, 10, 70, 34), (10, 90, 70, 114)], [(20, 20, 140, 68), (20, 180, 140, 228)]
    keep_lost(before, seen, traces, places)
    assert (seen[42:46, 44:116] == 230).all()
    assert (seen[150:] > 0).sum() == 4 * 80


def ground(level: float = 200) -> np.ndarray:
    return np.full((600, 800, 3), level, np.uint8)


def written(picture: np.ndarray) -> np.ndarray:
    """Strokes of a line of letters three pixels high."""
    picture[300:303, 400:460:2] = 90
    return picture


def test_a_detail_on_a_plain_ground_is_found_and_a_photographs_are_not():
    assert find_details(ground()) == []
    ((left, top, right, bottom),) = find_details(written(ground()))
    assert (left < 400, 460 < right < 560) == (True, True)
    assert (250 < top < 300, 303 < bottom < 350) == (True, True)
    dice = np.random.default_rng(0)
    photograph = ground()
    photograph[:, 500:] = dice.integers(0, 255, (60, 30, 3), np.uint8).repeat(10, axis=0).repeat(10, axis=1)
    assert find_details(written(photograph)) == []
    assert find_details(np.zeros((2, 900, 3), np.uint8)) == []


def test_grain_is_no_detail():
    dice = np.random.default_rng(0)
    grain = dice.normal(0, 4, (600, 800, 1))
    assert find_details(np.clip(ground() + grain, 0, 255).astype(np.uint8)) == []
    assert len(find_details(np.clip(written(ground()) + grain, 0, 255).astype(np.uint8))) == 1


def test_where_a_map_shows_nothing_there_is_no_text():
    probabilities = drawn((100, 100, 140, 110))
    assert shows_text(probabilities, (90, 90, 200, 120))
    assert not shows_text(probabilities, (150, 90, 200, 120))


def test_what_is_most_like_a_line_comes_first():
    pixels = np.full((400, 600, 3), 200, np.uint8)
    pixels[40:72, 40:72] = 20
    pixels[300:306, 100:300] = 20
    first, second = find_details(pixels)
    assert first[1] < 300 < first[3]
    assert second[1] < 40


def test_a_low_box_is_a_line_and_a_high_one_or_a_speck_is_none():
    probabilities = np.zeros((300, 200), np.uint8)
    probabilities[40:44, 20:60] = 200
    probabilities[80:82, 20:22] = 200
    probabilities[120:240, 10:190] = 200  # a blurred patch of fur
    assert shows_line(probabilities, (0, 30, 100, 60))
    assert not shows_line(probabilities, (0, 70, 100, 100))
    assert not shows_line(probabilities, (0, 110, 200, 250))
    assert shows_text(probabilities, (0, 110, 200, 250))
