# SPDX-License-Identifier: Apache-2.0
"""Mends regions of text that cross a seam between canvases."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from imagier_server.tasks.ocr.boxes import MAX_LINES, Map, is_certain, text_of
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
    crossing = np.flatnonzero(owners > 1)[:MAX_LINES].tolist()
    if not crossing:
        return
    # Before anything is taken, which changes what `found` looks at.
    uncertain = [not found.is_box(number) for number in crossing]
    canvases = [_Canvas(place, seen, width, height) for place, seen in zip(places, maps, strict=True)]
    for number, is_uncertain in zip(crossing, uncertain, strict=True):
        area = found.area(number)
        for canvas in canvases:
            whole = canvas.whole(area)
            if whole is not None:
                canvas.give(joined, whole)
                break
            if is_uncertain:
                for part in canvas.boxes_beyond_its_own(area):
                    canvas.give(joined, part)


class _Regions:
    """The regions of a map whose upper left is at `left` and `top` of the view. There may be a hundred thousand."""

    def __init__(self, seen: Map, left: int = 0, top: int = 0) -> None:
        self._seen = seen
        self._contours, _ = cv2.findContours(text_of(seen), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        x, y, wide, tall = np.reshape([cv2.boundingRect(each) for each in self._contours], (-1, 4)).T
        self._sides = np.stack([x + left, y + top, x + left + wide, y + top + tall])

    def area(self, number: int) -> Area:
        """Around one of them, in the view."""
        left, top, right, bottom = self._sides[:, number].tolist()
        return left, top, right, bottom

    def hull(self, numbers: npt.NDArray[np.intp], area: Area) -> Area:
        """Around some of them and an area."""
        lefts, tops, rights, bottoms = np.column_stack([self._sides[:, numbers], area])
        return int(lefts.min()), int(tops.min()), int(rights.max()), int(bottoms.max())

    def overlap(self, area: Area) -> npt.NDArray[np.bool_]:
        """Whether each overlaps an area of the view."""
        left, top, right, bottom = self._sides
        return np.asarray((left < area[2]) & (area[0] < right) & (top < area[3]) & (area[1] < bottom))

    def within(self, area: Area) -> npt.NDArray[np.bool_]:
        """Whether each is within an area of the view."""
        left, top, right, bottom = self._sides
        return np.asarray((area[0] <= left) & (area[1] <= top) & (right <= area[2]) & (bottom <= area[3]))

    def is_box(self, number: int) -> bool:
        """Whether one is certain enough to become a box."""
        return is_certain(self._seen, self._contours[number])


class _Canvas:
    """What a canvas shows of a view of `width` and `height`."""

    def __init__(self, place: Place, seen: Map, width: int, height: int) -> None:
        self._place = place
        self._seen = seen[: height - place.top, : width - place.left]  # without padding
        self._shown = _shown(place, width, height)
        self._regions = _Regions(self._seen, place.left, place.top)
        self._are_whole = self._regions.within(self._shown)
        self._offered = self._are_whole & ~self._regions.within(place.owned)

    def whole(self, area: Area) -> Area | None:
        """All that it shows in an area, which grows by it; None if that is nothing, or cut off."""
        if not _within(self._shown, area):
            return None
        parts = np.flatnonzero(self._regions.overlap(area))
        return self._regions.hull(parts, area) if len(parts) and self._are_whole[parts].all() else None

    def boxes_beyond_its_own(self, area: Area) -> list[Area]:
        """The boxes in an area that it shows whole, though they are not all in what it owns; each is offered once."""
        parts = np.flatnonzero(self._regions.overlap(area) & self._offered)
        self._offered[parts] = False
        return [self._regions.area(part) for part in parts.tolist() if self._regions.is_box(part)]

    def give(self, joined: Map, area: Area) -> None:
        """Write into `joined` what it shows of an area, and of the gap around it."""
        left, top = max(self._place.left, area[0] - GAP), max(self._place.top, area[1] - GAP)
        part = joined[top : area[3] + GAP, left : area[2] + GAP]
        part[:] = self._seen[top - self._place.top :, left - self._place.left :][: part.shape[0], : part.shape[1]]


def _shown(place: Place, width: int, height: int) -> Area:
    """What a canvas shows without its edges, which count where the view ends."""
    left, top = (begin + EDGE if begin else 0 for begin in (place.left, place.top))
    right, bottom = (
        end if end >= all_of_it else end - EDGE
        for end, all_of_it in ((place.left + place.width, width), (place.top + place.height, height))
    )
    return left, top, min(width, right), min(height, bottom)


def _within(outer: Area, area: Area) -> bool:
    return outer[0] <= area[0] and outer[1] <= area[1] and area[2] <= outer[2] and area[3] <= outer[3]
