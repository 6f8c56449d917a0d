# SPDX-License-Identifier: Apache-2.0
"""Canvases over areas of a view: they show all of it, with context, and no more than need be."""

from __future__ import annotations

import random

import numpy as np
import pytest
from imagier_server.tasks.ocr.canvases import CANVAS_SIDES, CONTEXT, MANY, OVERLAP, Area, cost, gather, lay_out, pixels

pytestmark = pytest.mark.unit

VIEW = (2000, 1500)


def owners(areas: list[Area]) -> np.ndarray:
    """How many canvases own each pixel."""
    seen = np.zeros(VIEW[::-1], int)
    for area in areas:
        for place in lay_out(area, VIEW):
            left, top, right, bottom = place.owned
            seen[top:bottom, left:right] += 1
    return seen


def test_an_area_is_owned_once_and_nothing_else():
    dice = random.Random(0)
    for _ in range(200):
        left, right = sorted(dice.sample(range(VIEW[0] + 1), 2))
        top, bottom = sorted(dice.sample(range(VIEW[1] + 1), 2))
        seen = owners([(left, top, right, bottom)])
        assert (seen[top:bottom, left:right] == 1).all()
        assert seen.sum() == (right - left) * (bottom - top)


def test_what_is_owned_has_context_where_the_view_goes_on():
    places = lay_out((300, 200, 1900, 1300), VIEW)
    assert len(places) == 4
    for place in places:
        left, top, right, bottom = place.owned
        assert (place.width, place.height) == (1024, 736)
        assert left - place.left >= CONTEXT
        assert top - place.top >= CONTEXT
        assert place.left + place.width - right >= CONTEXT
        assert place.top + place.height - bottom >= CONTEXT


def test_a_canvas_lies_within_its_view_if_it_fits():
    (place,) = lay_out((1900, 1450, 1950, 1480), VIEW)
    assert (place.left, place.top, place.width, place.height) == (2000 - 320, 1500 - 320, 320, 320)


def test_the_smallest_sides_are_taken():
    assert all(place.width in CANVAS_SIDES for place in lay_out((0, 0, *VIEW), VIEW))
    assert pixels(lay_out((0, 0, *VIEW), VIEW)) == 6 * 768 * 896
    assert pixels(lay_out((0, 0, 1900, 20), VIEW)) == 3 * 768 * 320
    first, second, _ = lay_out((0, 0, 1900, 20), VIEW)
    assert second.left - first.left == 768 - OVERLAP


def test_the_cost_of_an_area_is_what_its_canvases_would_have():
    dice = random.Random(1)
    for largest in CANVAS_SIDES:
        left, right = sorted(dice.sample(range(VIEW[0] + 1), 2))
        top, bottom = sorted(dice.sample(range(VIEW[1] + 1), 2))
        area = (left, top, right, bottom)
        assert cost(area, VIEW, largest) == pixels(lay_out(area, VIEW, largest))


def test_neighbours_share_a_canvas_and_distant_areas_do_not():
    near: list[Area] = [(100, 100, 200, 130), (100, 200, 200, 230)]
    assert gather(near, VIEW) == [(100, 100, 200, 230)]
    far: list[Area] = [(100, 100, 200, 130), (1800, 1400, 1900, 1430)]
    assert sorted(gather(far, VIEW)) == far
    assert gather([], VIEW) == []


def test_very_many_areas_are_one():
    dots: list[Area] = [(60 * n, 40 * n, 60 * n + 10, 40 * n + 10) for n in range(MANY + 1)]
    assert gather(dots, VIEW) == [(0, 0, 60 * MANY + 10, 40 * MANY + 10)]
