# SPDX-License-Identifier: Apache-2.0
"""How hard each effort looks, before a detector that sees dark strokes of letters if they are high enough."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import imagier_server.tasks.ocr.page
import numpy as np
import pytest
from imagier_server.tasks.ocr.boxes import Quads
from imagier_server.tasks.ocr.finding import CAREFUL_SIDE, find
from imagier_server.tasks.ocr.hints import DETAILS
from imagier_server.tasks.ocr.values import Effort
from support.scripted_ocr import Scripted

pytestmark = pytest.mark.unit

SIZE = (3000, 2000)


@dataclass
class Seeing(Scripted):
    """A detector that sees what is black: blocks of at least `least` pixels' height, others faintly or not at all."""

    least: int = 4

    async def infer(self, model: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        pixels = inputs["pixels"]
        await super().infer(model, inputs)
        dark = (pixels[0, :, :, 1] < 60).astype(np.uint8)
        dark[:, (pixels[0] == 0).all(axis=(0, 2))] = 0  # what pads a canvas
        dark[(pixels[0] == 0).all(axis=(1, 2))] = 0
        seen = cv2.morphologyEx(dark, cv2.MORPH_OPEN, np.ones((self.least, 1), np.uint8))
        return {"probability": seen[np.newaxis] * 250}


def page(*bars: tuple[int, int, int, int]) -> np.ndarray:
    pixels = np.full((SIZE[1], SIZE[0], 3), 200, np.uint8)
    for left, top, right, bottom in bars:
        pixels[top:bottom, left:right] = 20
    return pixels


def found(pixels: np.ndarray, effort: Effort) -> tuple[Quads, list[tuple[int, ...]]]:
    models = Seeing([])
    return asyncio.run(find(pixels, effort, models)), [shape for _, shape in models.asked]


BAR = (1500, 1000, 1800, 1060)


def test_large_letters_cost_a_glance_with_any_effort_but_a_thorough_one():
    fast, seen = found(page(BAR), Effort.FAST)
    balanced, also = found(page(BAR), Effort.BALANCED)
    assert seen == also
    assert len(fast) == len(balanced) == 1
    assert balanced.mean(axis=1)[0] == pytest.approx((1650, 1030), abs=4)
    _, thorough = found(page(BAR), Effort.THOROUGH)
    assert sum(np.prod(shape) for shape in thorough) > 2 * sum(np.prod(shape) for shape in seen)
    assert max(max(shape) for shape in thorough) <= CAREFUL_SIDE


def test_a_small_line_on_a_plain_ground_is_looked_at_closer_unless_it_has_to_be_fast():
    small = page((1500, 1000, 1800, 1008))  # less than three pixels high at a glance, more than five in the overview
    none, seen = found(small, Effort.FAST)
    assert len(none) == 0
    one, also = found(small, Effort.BALANCED)
    assert len(one) == 1
    assert one.mean(axis=1)[0] == pytest.approx((1650, 1004), abs=4)
    assert len(seen) < len(also) <= len(seen) + 2


def test_what_is_seen_closer_stands_beside_what_was_seen_at_a_glance():
    both, _ = found(page(BAR, (200, 300, 500, 308)), Effort.BALANCED)
    assert sorted(np.round(both.mean(axis=1)[:, 0] / 10).tolist()) == [35, 165]


def test_of_many_details_a_few_are_looked_at_if_none_of_them_is_a_line():
    specks = [
        (200 + 400 * column, 200 + 400 * row, 240 + 400 * column, 204 + 400 * row)
        for column in range(7)
        for row in range(4)
    ]
    _, seen = found(page(*specks), Effort.BALANCED)  # too low for this detector even from closer by
    assert len(seen) <= 1 + DETAILS
    lines = [(left, top, right + 60, bottom + 4) for left, top, right, bottom in specks]
    all_found, _ = found(page(*lines), Effort.BALANCED)
    assert len(all_found) == len(lines)


def test_boxes_are_where_the_lines_are_though_a_closer_look_at_many_is_from_farther_away(monkeypatch):
    monkeypatch.setattr(imagier_server.tasks.ocr.page, "MAX_TILES", 4)
    corners = [(200 + 400 * column, 200 + 400 * row) for column in range(7) for row in range(4)]
    small = [(left, top, left + 100, top + 9) for left, top in corners]
    large = [(left, top + 150, left + 100, top + 190) for left, top in corners]  # lest it be a page of small print
    all_found, _ = found(page(*small, *large), Effort.BALANCED)
    middles = np.array([(left + 50, top + middle) for left, top in corners for middle in (4, 170)])
    apart = np.linalg.norm(all_found.mean(axis=1)[:, np.newaxis] - middles, axis=2)
    assert apart.shape == (56, 56)
    assert apart.min(axis=0).max() < 10
