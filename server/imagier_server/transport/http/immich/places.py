# SPDX-License-Identifier: Apache-2.0
"""Places in a picture as it lies in its file, which is how Immich means them: its server does not apply the EXIF orientation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from imagier_server.tasks.ocr.values import Point, Polygon

_SIDEWAYS = {5, 6, 7, 8}
_IN_FILE: Mapping[int, Callable[[float, float], tuple[float, float]]] = {  # EXIF 2.32, tag 0x0112
    1: lambda x, y: (x, y),
    2: lambda x, y: (1 - x, y),
    3: lambda x, y: (1 - x, 1 - y),
    4: lambda x, y: (x, 1 - y),
    5: lambda x, y: (y, x),
    6: lambda x, y: (y, 1 - x),
    7: lambda x, y: (1 - y, 1 - x),
    8: lambda x, y: (1 - y, x),
}
"""By orientation: the place in the file of a place in the upright picture, both as fractions of width and height."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A picture of `upright_width` × `upright_height` pixels that lies in its file by EXIF's `orientation`."""

    upright_width: int
    upright_height: int
    orientation: int

    @property
    def width(self) -> int:
        """Pixels in the file."""
        return self.upright_height if self.orientation in _SIDEWAYS else self.upright_width

    @property
    def height(self) -> int:
        """Pixels in the file."""
        return self.upright_width if self.orientation in _SIDEWAYS else self.upright_height

    def quad(self, polygon: Polygon) -> Polygon:
        """A polygon in pixels of the upright picture, in fractions of the file's width and height, cut off at its edges.

        The corners are upper left, upper right, lower right and lower left in the file, wherever reading begins.
        """
        in_file = _IN_FILE[self.orientation]
        corners = [Point(*in_file(_part(at.x, self.upright_width), _part(at.y, self.upright_height))) for at in polygon]
        corners.sort(key=lambda at: at.x)
        left, right = sorted(corners[:2], key=lambda at: at.y), sorted(corners[2:], key=lambda at: at.y)
        return left[0], right[0], right[1], left[1]


def _part(place: float, length: int) -> float:
    return min(max(place / length, 0.0), 1.0)
