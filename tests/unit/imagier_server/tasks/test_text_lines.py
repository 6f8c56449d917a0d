# SPDX-License-Identifier: Apache-2.0
"""Lines cut out of a page, and the tensors that they make."""

from __future__ import annotations

import numpy as np
import pytest
from imagier_server.tasks.text_lines import (
    HEIGHT,
    ORIENTER_WIDTH,
    PADDING,
    RECOGNIZER_ROWS,
    WIDTHS,
    Line,
    cut_lines,
    orienter_batches,
    recognizer_batches,
    ways_to_read,
)

pytestmark = pytest.mark.unit


def quad(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


def page() -> np.ndarray:
    """Red grows to the right, green downwards."""
    x, y = np.meshgrid(np.arange(250), np.arange(200))
    return np.dstack([x, y, np.zeros_like(x)]).astype(np.uint8)


def line(width: int, number: int = 0, level: int = 200) -> Line:
    return Line(number, np.full((HEIGHT, width, 3), level, np.uint8), quad(0, 0, width, HEIGHT))


def test_a_box_of_the_lines_own_height_is_cut_as_it_is():
    (cut,) = cut_lines(page(), quad(10, 20, 110, 20 + HEIGHT)[np.newaxis])
    assert np.array_equal(cut.pixels, page()[20 : 20 + HEIGHT, 10:110])
    assert np.array_equal(cut.corners, quad(10, 20, 110, 20 + HEIGHT))


def test_other_heights_are_scaled():
    (cut,) = cut_lines(page(), quad(10, 20, 110, 44)[np.newaxis])
    assert cut.pixels.shape == (HEIGHT, 200, 3)


def test_a_tall_box_is_read_downwards():
    (cut,) = cut_lines(page(), quad(100, 10, 124, 130)[np.newaxis])
    assert cut.pixels.shape == (HEIGHT, 240, 3)
    assert cut.corners[0].tolist() == [124, 10]  # reading begins at its upper right
    green = cut.pixels[HEIGHT // 2, :, 1].astype(int)
    assert (np.diff(green) >= 0).all()
    red = cut.pixels[:, 120, 0].astype(int)
    assert (np.diff(red) <= 0).all()


def test_a_very_long_line_is_squeezed_into_the_widest_tensor():
    (cut,) = cut_lines(np.zeros((200, 4000, 3), np.uint8), quad(0, 0, 4000, 10)[np.newaxis])
    assert cut.pixels.shape[1] == WIDTHS[-1]


def test_lines_are_padded_to_the_next_width():
    (batch,) = recognizer_batches([line(100)])
    assert batch.pixels.shape == (1, HEIGHT, WIDTHS[0], 3)
    assert (batch.pixels[0, :, :100] == 200).all()
    assert (batch.pixels[0, :, 100:] == PADDING).all()


def test_lines_of_one_width_share_a_batch_up_to_the_models_limit():
    lines = [line(100, number) for number in range(RECOGNIZER_ROWS + 1)] + [line(400), line(WIDTHS[-1])]
    batches = recognizer_batches(lines)
    assert sorted(index for batch in batches for index in batch.lines) == list(range(len(lines)))
    assert all(batch.pixels.shape[0] <= RECOGNIZER_ROWS for batch in batches)
    assert {batch.pixels.shape[2] for batch in batches} == {WIDTHS[0], 480, WIDTHS[-1]}


def test_the_orienter_sees_one_width():
    batches = orienter_batches([line(20), line(2000)])
    assert [batch.pixels.shape for batch in batches] == [(2, HEIGHT, ORIENTER_WIDTH, 3)]
    assert (batches[0].pixels[0, :, 20:] == PADDING).all()
    assert (batches[0].pixels[1] == 200).all()


def ways(*upside_down: float) -> list[tuple[int, bool]]:
    """The lines' numbers, and whether each is turned."""
    lines = [line(100, number) for number in range(len(upside_down))]
    found = ways_to_read(lines, np.array(upside_down, np.float32))
    return [(each.number, each.corners[0].tolist() != [0, 0]) for each in found]


def test_upright_lines_are_read_as_they_are():
    assert ways(0.0, 0.5, 0.9) == [(0, False), (1, False), (2, False)]


def test_a_page_upside_down_is_turned():
    assert ways(0.95, 0.99, 1.0) == [(0, True), (1, True), (2, True)]


def test_a_line_unlike_the_others_is_read_both_ways():
    assert ways(0.0, 0.99, 0.0) == [(0, False), (1, True), (1, False), (2, False)]
    assert ways(1.0, 0.0, 1.0) == [(0, True), (1, True), (1, False), (2, True)]


def test_a_single_line_that_seems_upside_down_is_read_both_ways():
    assert ways(1.0) == [(0, True), (0, False)]


def test_turning_turns_pixels_and_corners():
    upright = Line(0, page()[:HEIGHT], quad(0, 0, 250, HEIGHT))
    turned, _ = ways_to_read([upright], np.ones(1, np.float32))
    assert np.array_equal(turned.pixels, upright.pixels[::-1, ::-1])
    assert turned.corners[0].tolist() == [250, HEIGHT]
    assert turned.corners[2].tolist() == [0, 0]
