# SPDX-License-Identifier: Apache-2.0
"""A line that crosses a seam is as the canvas that shows all of it sees it."""

from __future__ import annotations

import numpy as np
import pytest
from imagier_server.tasks.ocr.boxes import find_boxes
from imagier_server.tasks.ocr.canvases import Place
from imagier_server.tasks.ocr.page import Tile, View

pytestmark = pytest.mark.unit

LEFT = Place(0, 0, 736, 480, (0, 0, 672, 440))
RIGHT = Place(608, 0, 736, 480, (672, 0, 1056, 440))
VIEW = View(1056, 440, (4.0, 4.0), tuple(Tile(place, np.zeros((480, 736, 3), np.uint8)) for place in (LEFT, RIGHT)))


def seen(*cores: tuple[int, int, int, int]) -> np.ndarray:
    """A map of cores (left, top, right, bottom in pixels of a canvas)."""
    found = np.zeros((480, 736), np.uint8)
    for left, top, right, bottom in cores:
        found[top:bottom, left:right] = 235
    return found


def test_the_end_of_a_line_is_not_higher_than_the_line():
    # A page of 264 x 110 in Vietnamese: of the first line, the right canvas shows one word, and takes it for large.
    line, end = (58, 66, 700, 90), (20, 57, 95, 103)
    joined = VIEW.join([seen(line), seen(end)])
    (box,) = find_boxes(joined, VIEW.scale, 264, 110)
    assert box[2, 1] - box[0, 1] == pytest.approx(60 / 4, abs=2)
    assert np.array_equal(joined[:, :672], seen(line)[:440, :672])
    assert not joined[90:, 672:].any(), "nothing is left of what was too high"


def test_the_beginning_of_a_line_is_not_higher_than_the_line():
    # The mirror image, in a view that ends where its canvases do.
    left, right = Place(0, 0, 736, 480, (0, 0, 672, 480)), Place(608, 0, 736, 480, (672, 0, 1344, 480))
    view = View(1344, 480, (4.0, 4.0), tuple(Tile(place, np.zeros((480, 736, 3), np.uint8)) for place in (left, right)))
    begin, line = (641, 57, 716, 103), (36, 66, 734, 90)
    joined = view.join([seen(begin), seen(line)])
    (box,) = find_boxes(joined, view.scale, 336, 120)
    assert box[2, 1] - box[0, 1] == pytest.approx(60 / 4, abs=2)
    assert np.array_equal(joined[:, 672:], seen(line)[:, 64:])


def test_a_line_that_bleeds_into_the_padding_is_shown_whole():
    line, end = (58, 412, 700, 444), (20, 380, 95, 444)  # the view ends at 440
    joined = VIEW.join([seen(line), seen(end)])
    assert joined[412:440, 58:700].all()
    assert not joined[380:408, 672:704].any()


def test_a_line_that_goes_on_is_joined_at_the_seam():
    joined = VIEW.join([seen((500, 66, 736, 90)), seen((0, 66, 300, 90))])
    assert joined[70].nonzero()[0].tolist() == list(range(500, 908))


def test_a_line_near_the_edge_of_a_canvas_is_not_taken_from_it():
    cut, whole = (700, 66, 730, 70), (60, 66, 125, 90)
    joined = VIEW.join([seen((660, 66, 671, 90), cut), seen(whole)])
    assert (joined[66:90, 672:733] > 0).all()


def test_other_lines_stay_as_they_were():
    first, second = seen((100, 200, 300, 220)), seen((200, 300, 400, 320))
    joined = VIEW.join([first, second])
    assert np.array_equal(joined[:, :672], first[:440, :672])
    assert np.array_equal(joined[:, 672:], second[:440, 64:448])


def test_a_line_is_parted_from_blank_paper_that_a_canvas_takes_for_text():
    # Blurred lines in French: the right canvas shows the end of one, and nothing but paper beside it.
    line, paper = (92, 86, 700, 150), (20, 60, 440, 400)
    joined = VIEW.join([seen(line), seen(paper) // 3 * 2])
    boxes = find_boxes(joined, (1.0, 1.0), 1056, 440)
    (box,) = (box for box in boxes if box[:, 0].min() < 100)
    assert box[:, 0].max() < 760
    assert box[2, 1] - box[0, 1] < 2.5 * 64


def test_a_line_that_ends_behind_a_seam_does_not_grow_together_with_what_follows():
    line, paper = (92, 94, 700, 147), (66, 60, 440, 400)  # a gap of two pixels behind the seam
    joined = VIEW.join([seen(line), seen(paper)])
    boxes = find_boxes(joined, (1.0, 1.0), 1056, 440)
    assert sorted(round(box[:, 0].max() / 100) for box in boxes) == [7, 11]
