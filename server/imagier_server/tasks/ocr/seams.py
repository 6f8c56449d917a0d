# SPDX-License-Identifier: Apache-2.0
"""Mends regions of text that cross a seam between canvases."""

from __future__ import annotations

from collections.abc import Sequence

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
    found = _Regions(joined)
    owners = sum(found.overlap(place.owned).astype(int) for place in places)
    crossing = np.flatnonzero(owners > 1).tolist()
    if not crossing:
        return
    canvases = [(place, seen, _Regions(seen, place.left, place.top)) for place, seen in zip(places, maps, strict=True)]
    for number in crossing:
        area, uncertain = found.area(number), not found.is_box(number)
        for place, seen, regions in canvases:
            parts = [(part, regions.area(part)) for part in np.flatnonzero(regions.overlap(area)).tolist()]
            whole = all(_shows(place, part, width, height) for _, part in parts)
            if parts and whole and _shows(place, area, width, height):
                _take(joined, place, seen, _hull([area, *(part for _, part in parts)]))
                break
            if uncertain:
                for other, part in parts:
                    if not _within(place.owned, part) and _shows(place, part, width, height) and regions.is_box(other):
                        _take(joined, place, seen, part)


class _Regions:
    """The regions of a map whose upper left is at `left` and `top` of the view. There may be a hundred thousand."""

    def __init__(self, seen: Map, left: int = 0, top: int = 0) -> None:
        text = cv2.dilate(np.greater(seen, TEXT).view(np.uint8), np.ones((2, 2), np.uint8))
        self._seen = seen
        self._contours, _ = cv2.findContours(text, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        x, y, wide, tall = np.reshape([cv2.boundingRect(each) for each in self._contours], (-1, 4)).T
        self._sides = np.stack([x + left, y + top, x + left + wide, y + top + tall])

    def area(self, number: int) -> Area:
        """Around one of them, in the view."""
        left, top, right, bottom = self._sides[:, number].tolist()
        return left, top, right, bottom

    def overlap(self, area: Area) -> npt.NDArray[np.bool_]:
        """Whether each overlaps an area of the view."""
        left, top, right, bottom = self._sides
        return np.asarray((left < area[2]) & (area[0] < right) & (top < area[3]) & (area[1] < bottom))

    def is_box(self, number: int) -> bool:
        """Whether one is certain enough to become a box."""
        return mean_in_box(self._seen, self._contours[number]) >= MIN_MEAN


def _take(joined: Map, place: Place, seen: Map, area: Area) -> None:
    """Write into `joined` what a canvas shows of an area, and of the gap around it."""
    left, top = max(place.left, area[0] - GAP), max(place.top, area[1] - GAP)
    part = joined[top : area[3] + GAP, left : area[2] + GAP]
    part[:] = seen[top - place.top :, left - place.left :][: part.shape[0], : part.shape[1]]


def _hull(areas: Sequence[Area]) -> Area:
    lefts, tops, rights, bottoms = zip(*areas, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _within(outer: Area, area: Area) -> bool:
    return outer[0] <= area[0] and outer[1] <= area[1] and area[2] <= outer[2] and area[3] <= outer[3]


def _shows(place: Place, area: Area, width: int, height: int) -> bool:
    """Say whether a canvas shows all of an area, and a little more unless the view ends there."""
    left, top = (begin + EDGE if begin else 0 for begin in (place.left, place.top))
    right, bottom = place.left + place.width - EDGE, place.top + place.height - EDGE
    return _within((left, top, min(width, right), min(height, bottom)), area)
