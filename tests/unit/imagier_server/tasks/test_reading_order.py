# SPDX-License-Identifier: Apache-2.0
"""The order of lines on straight, tilted and turned pages."""

from __future__ import annotations

import numpy as np
import pytest
from imagier_server.tasks.reading_order import reading_order

pytestmark = pytest.mark.unit

# Three rows of two: names on the left, prices on the right, not quite level.
ROWS = [
    (20, 10, 200, 30),
    (300, 13, 360, 31),
    (20, 40, 180, 60),
    (300, 37, 360, 57),
    (20, 70, 220, 90),
    (300, 71, 360, 90),
]


def page(degrees: float) -> list[np.ndarray]:
    """The rows, turned clockwise."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[cosine, sine], [-sine, cosine]])
    return [
        np.array([(left, top), (right, top), (right, bottom), (left, bottom)]) @ turn
        for left, top, right, bottom in ROWS
    ]


@pytest.mark.parametrize("degrees", [0, 3, -3, 10, -10, 90, 180, 270, 183, 87])
def test_rows_are_read_one_after_another(degrees: float):
    lines = page(degrees)
    shuffled = [4, 1, 5, 0, 3, 2]
    order = reading_order([lines[index] for index in shuffled])
    assert [shuffled[index] for index in order] == list(range(6))


def test_nothing_has_no_order():
    assert reading_order([]) == []


def test_a_line_that_runs_upwards_does_not_turn_the_page():
    upwards = np.array([(5, 90), (5, 10), (15, 10), (15, 90)], float)
    order = reading_order([*page(0), upwards])
    assert [index for index in order if index < 6] == list(range(6))


def test_opposite_lines_have_an_order_too():
    straight = page(0)[0]
    assert sorted(reading_order([straight, np.roll(straight, 2, axis=0)])) == [0, 1]
