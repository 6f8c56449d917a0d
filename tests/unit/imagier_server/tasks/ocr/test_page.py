# SPDX-License-Identifier: Apache-2.0
"""The views of a page: sizes, scales, tiles, and shapes that no camera makes."""

from __future__ import annotations

import numpy as np
import pytest
from imagier_server.tasks.ocr.canvases import CANVAS_SIDES, OVERLAP, Area, pixels
from imagier_server.tasks.ocr.page import (
    ENLARGED,
    MAX_PIXELS,
    MAX_SIDE,
    MAX_TILES,
    MIN_SIDE,
    SNUG,
    View,
    closer_view,
    farther_view,
    first_view,
    has_large,
    is_small_print,
    join_boxes,
    overview,
    reading_scale,
    same_view,
    scaled,
)

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
    (12000, 1300),
    (800, 9000),
]


def page(width: int, height: int, level: int = 200) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def box(left: float, top: float, width: float, height: float) -> np.ndarray:
    right, bottom = left + width, top + height
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


def rejoined(view: View) -> np.ndarray:
    """The red of the tiles, joined as if it were their maps."""
    return view.join([tile.canvas[:, :, 0] for tile in view.tiles])


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_tiles_are_of_the_detectors_sizes_and_few(width: int, height: int):
    view = overview(page(width, height))
    assert 0 < len(view.tiles) <= MAX_TILES
    for tile in view.tiles:
        assert tile.canvas.shape[0] in CANVAS_SIDES
        assert tile.canvas.shape[1] in CANVAS_SIDES
        assert tile.canvas.dtype == np.uint8


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_tiles_show_the_whole_page(width: int, height: int):
    view = overview(page(width, height))
    assert (view.width, view.height) == (round(width * view.scale[0]), round(height * view.scale[1]))
    assert (rejoined(view) == 200).all()


def test_tiles_are_joined_without_a_seam():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (800, 6000, 3), np.uint8)
    view = overview(picture)
    assert len(view.tiles) > 1
    assert view.scale == pytest.approx((0.897, 0.897), abs=1e-3)
    # Each place of the joined map is what some tile saw there; with no neighbour cut off at its very edge.
    joined = rejoined(view)
    marked = [np.full(tile.canvas.shape[:2], number, np.uint8) for number, tile in enumerate(view.tiles)]
    owner = view.join(marked)
    for number, tile in enumerate(view.tiles):
        ys, xs = np.nonzero(owner == number)
        left, top = tile.place.left, tile.place.top
        assert np.array_equal(joined[ys, xs], tile.canvas[ys - top, xs - left, 0])
        if left:
            assert (xs - left).min() == OVERLAP // 2
        if tile is not view.tiles[-1]:
            assert tile.canvas.shape[1] - 1 - (xs - left).max() == OVERLAP // 2


def test_a_page_of_one_tile_is_padded():
    (tile,) = overview(page(890, 790)).tiles
    assert tile.canvas.shape == (896, 896, 3)
    assert (tile.canvas[:790, :890] == 200).all()
    assert (tile.canvas[:, 890:] == 0).all()
    assert (tile.canvas[790:] == 0).all()


def test_a_small_picture_is_enlarged():
    assert overview(page(500, 400)).height == MIN_SIDE
    assert overview(page(150, 100)).scale == (ENLARGED, ENLARGED)
    assert MAX_SIDE * SNUG[-1] <= overview(page(1672, 122)).width <= MAX_SIDE


def test_a_large_picture_is_shrunk():
    assert MAX_SIDE * SNUG[-1] <= overview(page(4000, 3000)).width <= MAX_SIDE


def test_a_view_is_a_little_smaller_if_that_spares_canvases_but_no_glance_is():
    photograph, square = page(4000, 3000), page(736, 736)
    whole, glance = overview(photograph), first_view(photograph)
    assert (whole.width, whole.height) == (1950, 1462)
    assert (glance.width, glance.height) == (1000, 750)
    assert overview(square).scale == (1.0, 1.0), "nothing would be spared"
    again = same_view(photograph, View(1000, 750, (0.25, 0.25), ()), [(0, 0, 1000, 750)])
    assert again.width == 1000, "maps of one view are joined"


def test_a_long_picture_keeps_its_short_side_legible():
    view = overview(page(12000, 1300))
    assert view.height >= MIN_SIDE * SNUG[-1]
    assert len(view.tiles) == 9


def test_fine_strokes_survive_shrinking():
    picture = page(6000, 2500, 255)
    picture[::3] = 0  # a third of its rows; samples, not means, would be black or white
    view = overview(picture)
    assert view.scale[1] == pytest.approx(1 / 3, rel=0.05)
    seen = view.tiles[0].canvas[100:700, 100:1900]
    assert seen.min() > 120
    assert seen.max() < 220


@pytest.mark.parametrize(
    ("width", "height", "scale"),
    [(1000, 800, 1.0), (4000, 3000, 1.0), (4032, 3024, 1.0), (6000, 4000, 0.5), (20000, 1, 1.0), (1, 1, 1.0)],
)
def test_reading_scale(width: int, height: int, scale: float):
    assert reading_scale(width, height) == scale
    assert width * height * scale**2 <= MAX_PIXELS


def test_the_largest_picture_is_within_the_bound():
    assert 10_000 * 10_000 * reading_scale(10_000, 10_000) ** 2 <= MAX_PIXELS


PAGE = page(4000, 3000)
SMALL_PRINT = np.stack([box(200, 100 + 40 * row, 800, 20) for row in range(9)])


PART: list[Area] = [(100, 200, 500, 240)]


@pytest.mark.parametrize("size", [(4000, 3000), (2048, 1536), (640, 480), (900, 1200), (12000, 1300)])
def test_a_glance_costs_a_part_of_an_overview(size: tuple[int, int]):
    glance, whole = (pixels([tile.place for tile in view(page(*size)).tiles]) for view in (first_view, overview))
    assert glance <= whole / 2
    assert (rejoined(first_view(page(*size))) == 200).all()


def test_where_a_glance_spares_nothing_the_overview_is_the_first_look():
    label = page(80, 30)
    assert first_view(label).scale == overview(label).scale


def test_what_is_looked_at_closer_is_shown_at_twice_the_scale_and_no_more_of_the_page():
    glance = first_view(PAGE)
    nearer = closer_view(PAGE, glance, PART)
    assert nearer is not None
    assert nearer.scale[0] == pytest.approx(2 * glance.scale[0], rel=0.05)
    (tile,) = nearer.tiles
    assert tile.place.owned == scaled(PART[0], glance, nearer)
    assert tile.canvas.shape == (320, 1024, 3)
    assert (tile.canvas == 200).all(), "the page goes on around it"


def test_a_closer_map_shows_the_rest_as_it_was_seen_before():
    glance = first_view(PAGE)
    nearer = closer_view(PAGE, glance, PART)
    assert nearer is not None
    seen = nearer.join([np.full(nearer.tiles[0].canvas.shape[:2], 9, np.uint8)], rejoined(glance))
    left, top, right, bottom = nearer.tiles[0].place.owned
    assert (seen[top:bottom, left:right] == 9).all()
    assert (seen == 200).sum() == seen.size - (right - left) * (bottom - top)


def test_there_is_nothing_closer_than_the_picture_itself_or_an_overview():
    for size in ((1000, 800), (640, 480)):
        small = page(*size)
        assert closer_view(small, overview(small), PART) is None
    photograph = page(640, 480)
    assert closer_view(photograph, first_view(photograph), PART) is None
    assert closer_view(PAGE, overview(PAGE), []) is None
    near = page(2048, 1536)
    assert closer_view(near, overview(near), PART) is None, "hardly closer"


def test_a_closer_look_is_bounded():
    long = page(16000, 1000)
    view = overview(long)
    nearer = closer_view(long, view, [(0, 0, view.width, view.height)])
    assert nearer is not None
    assert len(nearer.tiles) <= MAX_TILES


def test_more_of_a_view_is_seen_at_its_scale():
    view = overview(PAGE)
    assert same_view(PAGE, view, PART).scale == view.scale
    assert scaled(PART[0], first_view(PAGE), view) == (195, 389, 975, 468)


def test_most_boxes_decide_what_is_small_print():
    view = overview(PAGE)
    large = np.stack([box(200, 100 + 40 * row, 800, 34) for row in range(9)])
    assert is_small_print(SMALL_PRINT, view)
    assert not is_small_print(large, view)
    assert not is_small_print(np.empty((0, 4, 2), np.float32), view)


def test_letters_that_fill_much_of_a_view_are_large():
    assert has_large(HEADING[np.newaxis], overview(PAGE))
    assert not has_large(SMALL_PRINT, overview(PAGE))


HEADING = box(100, 2000, 2000, 300)


def test_a_heading_is_not_read_in_pieces():
    near = np.stack([*SMALL_PRINT, box(120, 2010, 900, 280), box(1100, 2010, 900, 280)])
    joined = join_boxes(np.stack([*SMALL_PRINT, HEADING]), near, 0.5)
    assert sorted(joined[:, 0, 1].tolist()) == sorted([*SMALL_PRINT[:, 0, 1].tolist(), 2000])


def test_a_last_letter_that_sticks_out_is_a_piece_and_a_caption_is_not():
    letter, caption = box(2060, 2010, 200, 280), box(300, 2310, 900, 30)
    joined = join_boxes(HEADING[np.newaxis], np.stack([letter, caption]), 0.5)
    assert joined[:, 0].tolist() == [[100, 2000], [300, 2310]]


def test_a_line_close_below_is_no_letter():
    below = box(120, 2310, 1800, 200)  # half as high and more, and nearer than half the heading's height
    joined = join_boxes(HEADING[np.newaxis], below[np.newaxis], 0.5)
    assert joined[:, 0].tolist() == [[100, 2000], [120, 2310]]


def test_what_looked_huge_from_afar_swallows_no_lines():
    lines = np.stack([box(200, 1100 + 150 * row, 1500, 120) for row in range(3)])
    assert np.array_equal(join_boxes(box(100, 1000, 1800, 600)[np.newaxis], lines, 0.5), lines)


def test_specks_on_huge_letters_are_no_lines():
    specks = np.stack([box(300 + 400 * column, 2100, 60, 50) for column in range(4)])
    assert np.array_equal(join_boxes(HEADING[np.newaxis], specks, 0.5), HEADING[np.newaxis])


def test_a_short_line_on_something_huge_that_is_no_text_stays():
    line = box(300, 2100, 300, 30)
    assert len(join_boxes(HEADING[np.newaxis], line[np.newaxis], 0.5)) == 2


def test_a_small_picture_that_shows_nothing_is_looked_at_from_farther_away():
    nothing = np.empty((0, 4, 2), np.float32)
    wide, small = page(800, 300), page(500, 400)
    farther = farther_view(wide, overview(wide), nothing)
    assert farther is not None
    assert len(farther.tiles) == 1
    assert farther_view(small, overview(small), nothing) is None, "it was on one tile"
    assert farther_view(wide, overview(wide), box(50, 50, 200, 20)[np.newaxis]) is None


def test_huge_letters_are_looked_at_from_farther_away():
    view = overview(PAGE)
    farther = farther_view(PAGE, view, box(100, 200, 3000, 500)[np.newaxis])
    assert farther is not None
    (tile,) = farther.tiles
    assert tile.canvas.shape[1] == CANVAS_SIDES[-1]
    assert farther_view(PAGE, view, HEADING[np.newaxis]) is None
    assert farther_view(PAGE, view, np.empty((0, 4, 2), np.float32)) is None
    small = page(900, 700)
    assert farther_view(small, overview(small), box(50, 50, 800, 600)[np.newaxis]) is None


def test_a_block_that_looked_like_a_word_is_no_word():
    near = np.stack([box(120, 2010 + 40 * row, 1800, 20) for row in range(6)])
    assert np.array_equal(join_boxes(HEADING[np.newaxis], near, 0.5), near)


def test_without_anything_large_the_closer_boxes_stay():
    assert np.array_equal(join_boxes(SMALL_PRINT, SMALL_PRINT + 1, 0.5), SMALL_PRINT + 1)
    nothing = np.empty((0, 4, 2), np.float32)
    assert join_boxes(HEADING[np.newaxis], nothing, 0.5).shape == (1, 4, 2)
