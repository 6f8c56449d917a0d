# SPDX-License-Identifier: Apache-2.0
"""Mends regions of text that cross a seam between canvases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from imagier_server.tasks.ocr.boxes import MIN_MEAN, TEXT, Map, mean_in_box
from imagier_server.tasks.ocr.canvases import Area, Place

EDGE = 16
"""Pixels at a canvas's edge where the detector sees little of a line that goes on; not where the view ends."""

GAP = 4
"""Pixels around a line that is parted from what a neighbouring canvas shows beside it."""


def mend(joined: Map, places: Sequence[Place], maps: Sequence[Map]) -> None:
    """Take what crosses a seam in `joined` from a canvas that shows all of it, if one does.

    A canvas that shows no more than the end of a line may see it twice as high as its neighbour does, or see text all over the
    blank paper beside it. The whole would be no box then, and the line lost.
    """
    height, width = joined.shape
    canvases = [
        (place, seen, [(_moved(_around(each), place), mean_in_box(seen, each) >= MIN_MEAN) for each in _regions(seen)])
        for place, seen in zip(places, maps, strict=True)
    ]
    for contour in _regions(joined):
        area = _around(contour)
        if sum(_overlap(place.owned, area) for place in places) < 2:
            continue
        uncertain = mean_in_box(joined, contour) < MIN_MEAN
        for place, seen, regions in canvases:
            parts = [(part, is_box) for part, is_box in regions if _overlap(part, area)]
            whole = all(_shows(place, part, width, height) for part, _ in parts)
            if parts and whole and _shows(place, area, width, height):
                _take(joined, place, seen, _hull([area, *(part for part, _ in parts)]))
                break
            if uncertain:
                for part, is_box in parts:
                    if is_box and not _within(place.owned, part) and _shows(place, part, width, height):
                        _take(joined, place, seen, part)


def _take(joined: Map, place: Place, seen: Map, area: Area) -> None:
    """Write into `joined` what a canvas shows of an area, and of the gap around it."""
    left, top = max(place.left, area[0] - GAP), max(place.top, area[1] - GAP)
    part = joined[top : area[3] + GAP, left : area[2] + GAP]
    part[:] = seen[top - place.top :, left - place.left :][: part.shape[0], : part.shape[1]]


def _regions(probabilities: Map) -> Sequence[npt.NDArray[Any]]:
    text = cv2.dilate(np.greater(probabilities, TEXT).view(np.uint8), np.ones((2, 2), np.uint8))
    return cv2.findContours(text, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]


def _around(contour: npt.NDArray[Any]) -> Area:
    left, top, wide, tall = cv2.boundingRect(contour)
    return left, top, left + wide, top + tall


def _moved(area: Area, place: Place) -> Area:
    """An area of a canvas in its view."""
    left, top, right, bottom = area
    return left + place.left, top + place.top, right + place.left, bottom + place.top


def _hull(areas: Sequence[Area]) -> Area:
    lefts, tops, rights, bottoms = zip(*areas, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _overlap(first: Area, second: Area) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def _within(outer: Area, area: Area) -> bool:
    return outer[0] <= area[0] and outer[1] <= area[1] and area[2] <= outer[2] and area[3] <= outer[3]


def _shows(place: Place, area: Area, width: int, height: int) -> bool:
    """Say whether a canvas shows all of an area, and a little more unless the view ends there."""
    left, top = (begin + EDGE if begin else 0 for begin in (place.left, place.top))
    right, bottom = place.left + place.width - EDGE, place.top + place.height - EDGE
    return _within((left, top, min(width, right), min(height, bottom)), area)
