# SPDX-License-Identifier: Apache-2.0
"""The order of lines on straight, tilted and turned pages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagier_server.tasks.ocr.reading_order import reading_order

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


@given(
    st.lists(
        st.tuples(
            *[st.sampled_from([0, 10, 20, 200, 600])] * 2, *[st.sampled_from([10, 30, 200, 400])] * 2, st.booleans()
        )
    )
)
def test_every_line_has_a_place_and_one_only(boxes: list[tuple[int, int, int, int, bool]]):
    lines = []
    for left, top, width, height, upwards in boxes:
        right, bottom = left + width, top + height
        corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)
        lines.append(np.roll(corners, 1, axis=0) if upwards else corners)
    assert sorted(reading_order(lines)) == list(range(len(lines)))


def test_two_labels_along_the_very_edge_beside_one_row_are_both_read():
    rows = [np.array([(200, y), (600, y), (600, y + 40), (200, y + 40)], float) for y in (100, 600)]
    labels = [np.array([(0, y + 160), (0, y), (30, y), (30, y + 160)], float) for y in (370, 200)]
    assert reading_order(rows + labels) == [0, 3, 2, 1]


# What is drawn with letters: each word is a line of text, its place on the grid is its place on the page, 10 × 20 pixels a cell.
LAYOUTS = {
    "two columns": """
        aaaaaaaaaaaaaaaaaaaaaaaa    fffffffffffffffffffffff
        bbbbbbbbbbbbbbbbbbbbbbbb    gggggggggggggggggggggggg
        cccccccccccccccccccccccc    hhhhhhhhhhhhhhhhhhhhhhhh
        dddddddddddddddddddddddd    iiiiiiiiiiiiiiiiiiiiiiii
        eeeeeeeeeeee                jjjjjjjjjjjj
        """,
    "a title, two columns with headings, a footer": """
              aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa

        bbbbbbb                     gggggggg
        cccccccccccccccccccccccc    hhhhhhhhhhhhhhhhhhhhhhhh
        dddddddddddddddddddddddd    iiiiiiiiiiiiiiiiiiiiiiii
        eeeeeeeeeeeeeeeeeeeeeeee    jjjjjjjjjjjjjjjjjjjjjjjj
        ffffffffffff                kkkkkkkk

                  llllllllllllllllllllllllllllll
        """,
    "two paragraphs a column": """
        aaaaaaaaaaaaaaaaaaaaaaaa    hhhhhhhhhhhhhhhhhhhhhhhh
        bbbbbbbbbbbbbbbbbbbbbbbb    iiiiiiiiiiiiiiiiiiiiiiii
        cccccccc                    jjjjjjjjjjjjjjjjjjjjjjjj
                                    kkkkkkkk
          dddddddddddddddddddddd
        eeeeeeeeeeeeeeeeeeeeeeee    llllllllllllllllllllllll
        ffffffffffffffffffffffff    mmmmmmmmmmmmmmmmmmmmmmmm
        gggggggggg                  nnnnnnnnnnnnnnnnnnnnnnnn
        """,
    "three columns": """
        aaaaaaaaaaaaaaaa  dddddddddddddddd  gggggggggggggggg
        bbbbbbbbbbbbbbbb  eeeeeeeeeeeeeeee  hhhhhhhhhhhhhhhh
        cccccccccccccccc  ffffffffffffffff  iiiiiiiiiiiiiiii
        """,
    "columns, and columns below a second title": """
        aaaaaaaaaaaaaaaaaaaaaaaa    dddddddddddddddddddddddd
        bbbbbbbbbbbbbbbbbbbbbbbb    eeeeeeeeeeeeeeeeeeeeeeee
        cccccccccccccccccccccccc    ffffffffffffffffffffffff

              gggggggggggggggggggggggggggggggggggggggggg

        hhhhhhhhhhhhhhhhhhhhhhhh    kkkkkkkkkkkkkkkkkkkkkkkk
        iiiiiiiiiiiiiiiiiiiiiiii    llllllllllllllllllllllll
        jjjjjjjjjjjjjjjjjjjjjjjj    mmmmmmmmmmmmmmmmmmmmmmmm
        """,
    "a menu": """
        aaaaaaaaaaaaaaaa                          bbbb
        cccccccccccc                              dddd
        eeeeeeeeeeeeeeeeeeeeee                    ffff
        gggggg                                    hhhh
        """,
    "a table": """
        aaaaaaaaaa    bbbbbb      ccccccccc
        ddddd         eeeeeeeee   fffff
        ggggggggg     hhhh        iiiiiiiii
        jjjjjjj       kkkkkkkkk   llll
        """,
    "a sign": """
             aaaaaaa
        bbbbbbbbbbbbbbbbb
          ccccc   ddddd
        """,
    "a column of prose beside a list of figures": """
        aaaaaaaaaaaaaaaaaaaaaaaa    bbbb
        cccccccccccccccccccccccc    dddd
        eeeeeeeeeeeeeeeeeeeeeeee    ffff
        """,
}


def drawn(layout: str) -> list[np.ndarray]:
    """The lines, in the order of the letters of the alphabet."""
    boxes = {}
    for row, text in enumerate(layout.splitlines()):
        for word in text.split():
            left, top = text.index(word) * 10, row * 20
            right, bottom = left + len(word) * 10, top + 16
            boxes[word[0]] = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)
    assert "".join(sorted(boxes)) == "abcdefghijklmnopqrstuvwxyz"[: len(boxes)]
    return [boxes[letter] for letter in sorted(boxes)]


@pytest.mark.parametrize("degrees", [0, 4, -4, 90, 180, 268])
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_page_is_read_as_it_is_laid_out(name: str, degrees: float):
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    lines = [line @ np.array([[cosine, sine], [-sine, cosine]]) for line in drawn(LAYOUTS[name])]
    shuffled = np.random.default_rng(3).permutation(len(lines)).tolist()
    order = reading_order([lines[index] for index in shuffled])
    assert [shuffled[index] for index in order] == list(range(len(lines)))


def test_chinese_columns_are_read_from_right_to_left():
    """Each reads downwards: reading begins at its upper right corner."""
    columns = [np.array([(x + 20, 10), (x + 20, 300), (x, 300), (x, 10)], float) for x in (200, 160, 120, 80)]
    assert reading_order([columns[1], columns[3], columns[0], columns[2]]) == [2, 0, 3, 1]


def test_banners_beside_a_list_do_not_cut_it():
    """Downwards on the left, on the right, and further right."""
    left, right, outer = (np.array([(x + 20, 0), (x + 20, 100), (x, 100), (x, 0)], float) for x in (-40, 400, 440))
    lines = [*page(0), outer, left, right]
    assert reading_order(lines) == [7, 0, 1, 2, 3, 4, 5, 8, 6]


def test_a_thousand_lines_have_an_order():
    lines = [
        np.array([(x, y), (x + 90, y), (x + 90, y + 9), (x, y + 9)], float)
        for x in range(0, 1000, 100)
        for y in range(0, 1000, 10)
    ]
    assert sorted(reading_order(lines)) == list(range(1000))
