# SPDX-License-Identifier: Apache-2.0
"""Mends regions of text that cross a seam between canvases."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from imagier_server.tasks.ocr.boxes import TEXT, Map
from imagier_server.tasks.ocr.canvases import Area, Place

EDGE = 16
"""Pixels at a canvas's edge where the detector sees little of a line that goes on; not where the view ends."""


def mend(joined: Map, places: Sequence[Place], maps: Sequence[Map]) -> None:
    """Take each region of `joined` that crosses a seam from the canvas that shows all of it, if one does.

    A canvas that shows the end of a line only, a letter or two, may see it twice as high as the other one does.
    """
    text = cv2.dilate(np.greater(joined, TEXT).view(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(text, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    height, width = joined.shape
    for contour in contours:
        x, y, wide, tall = cv2.boundingRect(contour)
        left, top, right, bottom = area = (x, y, x + wide, y + tall)
        if sum(_overlap(place.owned, area) for place in places) < 2:
            continue
        for place, seen in zip(places, maps, strict=True):
            if _shows(place, area, width, height):
                joined[top:bottom, left:right] = seen[
                    top - place.top : bottom - place.top, left - place.left : right - place.left
                ]
                break


def _overlap(first: Area, second: Area) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def _shows(place: Place, area: Area, width: int, height: int) -> bool:
    """Say whether a canvas shows all of an area, and a little more unless the view ends there."""
    left, top, right, bottom = area
    return (
        left >= place.left + (EDGE if place.left else 0)
        and top >= place.top + (EDGE if place.top else 0)
        and right <= min(width, place.left + place.width - EDGE)
        and bottom <= min(height, place.top + place.height - EDGE)
    )
