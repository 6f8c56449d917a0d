# SPDX-License-Identifier: Apache-2.0
"""Finds lines: at a glance whether there are any, and from closer by where the glance leaves a doubt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imagier_server.messages import Pixels
from imagier_server.tasks.ocr.boxes import Map, Quads, find_boxes
from imagier_server.tasks.ocr.canvases import Area
from imagier_server.tasks.ocr.hints import (
    DETAILS,
    TRUSTED,
    Hints,
    around,
    find_details,
    find_hints,
    keep_lost,
    looks_like_print,
    shows_line,
    shows_text,
)
from imagier_server.tasks.ocr.page import (
    View,
    closer_view,
    farther_view,
    first_view,
    has_large,
    is_small_print,
    join_boxes,
    may_be_closer,
    overview,
    pixels_of,
    same_view,
    scaled,
)
from imagier_server.tasks.ocr.requests import infer_all
from imagier_server.tasks.ocr.values import Effort
from imagier_server.tasks.task import Steps
from imagier_server.timings import Stage

DETECTOR = "text_detector"

CAREFUL_TRUSTED = 24.0
"""Height of boxes that a thorough look trusts."""

CAREFUL_SIDE = 736
"""Its largest canvas."""


async def find(page: Pixels, effort: Effort, steps: Steps) -> Quads:
    """Find boxes in `page`, in its pixels: at a glance; traces, small print and what may be such from closer by."""
    if effort is Effort.THOROUGH:
        first = await steps.compute(Stage.PREPARE, overview, page, CAREFUL_SIDE)
    else:
        first = await steps.compute(Stage.PREPARE, first_view, page)
    first_map = await _see(first, steps)
    first_quads = await steps.compute(Stage.PREPARE, _boxes, page, first, first_map)
    view, seen, quads = first, first_map, first_quads
    if effort is not Effort.FAST:
        view, seen = await _follow(page, view, seen, effort, steps)
        quads = await steps.compute(Stage.PREPARE, _boxes, page, view, seen) if view is not first else first_quads
        view, quads = await _small_print(page, view, seen, quads, steps)
    if view is not first and has_large(first_quads, first):
        quads = await steps.compute(Stage.PREPARE, join_boxes, first_quads, quads, max(first.scale))
    farther = await steps.compute(Stage.PREPARE, farther_view, page, first, quads)
    if farther is not None:
        far = await steps.compute(Stage.PREPARE, _boxes, page, farther, await _see(farther, steps))
        quads = await steps.compute(Stage.PREPARE, join_boxes, far, quads, max(farther.scale))
    return quads


async def _follow(page: Pixels, view: View, seen: Map, effort: Effort, steps: Steps) -> tuple[View, Map]:
    """Look closer where `seen` has traces, and at what may be print, or one of many details, if a sample is text."""
    if not may_be_closer(page, view):
        return view, seen
    trusted = CAREFUL_TRUSTED if effort is Effort.THOROUGH else TRUSTED
    hints: Hints = await steps.compute(Stage.PREPARE, find_hints, seen, trusted)
    details = await steps.compute(Stage.PREPARE, _details, page, view, seen)
    areas = [*hints.traces, *hints.samples, *details[:DETAILS]]
    closer = await steps.compute(Stage.PREPARE, closer_view, page, view, areas)
    if closer is None:
        return view, seen
    from_afar, seen = seen, await _see(closer, steps, seen)
    more = await steps.compute(Stage.PREPARE, _confirm, hints, details, view, from_afar, closer, seen)
    if more:
        # Its scale is less where so much needs too many canvases.
        closer = await steps.compute(Stage.PREPARE, same_view, page, closer, more)
        seen = await _see(closer, steps, seen)
    return closer, seen


def _confirm(hints: Hints, details: Sequence[Area], view: View, from_afar: Map, closer: View, seen: Map) -> list[Area]:
    """Keep in `seen` the traces that were lost; return what else is worth a look in `closer`.

    Worth one are the regions whose samples are print, and all other details if one of the first is a line.
    """
    keep_lost(from_afar, seen, hints.traces, [scaled(trace, view, closer) for trace in hints.traces])
    more = [
        scaled(region, view, closer)
        for region, sample in zip(hints.regions, hints.samples, strict=True)
        if looks_like_print(seen, scaled(sample, view, closer))
    ]
    places = [scaled(detail, view, closer) for detail in details]
    if any(shows_line(seen, place) for place in places[:DETAILS]):
        more += places[DETAILS:]
    return more


def _details(page: Pixels, view: View, seen: Map) -> list[Area]:
    return [area for area in find_details(pixels_of(page, view)) if not shows_text(seen, area)]


async def _small_print(page: Pixels, view: View, seen: Map, quads: Quads, steps: Steps) -> tuple[View, Quads]:
    """Look closer at boxes that are small print, if most are."""
    if not is_small_print(quads, view):
        return view, quads
    areas = await steps.compute(Stage.PREPARE, around, quads, view.scale, view.width, view.height)
    closer = await steps.compute(Stage.PREPARE, closer_view, page, view, areas)
    if closer is None:
        return view, quads
    return closer, await steps.compute(Stage.PREPARE, _boxes, page, closer, await _see(closer, steps, seen))


async def _see(view: View, steps: Steps, before: Map | None = None) -> Map:
    found = await infer_all(steps, DETECTOR, view.tiles, lambda tile: tile.canvas[np.newaxis])
    return await steps.compute(Stage.PREPARE, view.join, [each["probability"][0] for each in found], before)


def _boxes(page: Pixels, view: View, seen: Map) -> Quads:
    height, width = page.shape[:2]
    return find_boxes(seen, view.scale, width, height)
