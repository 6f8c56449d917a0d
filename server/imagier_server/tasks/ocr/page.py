# SPDX-License-Identifier: Apache-2.0
"""Cuts views of a picture into tiles of a few sizes for the detector, and merges their maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from imagier_server.messages import Pixels
from imagier_server.tasks.ocr.boxes import LONG, Map, Quads, line_heights
from imagier_server.tasks.ocr.canvases import CANVAS_SIDES, Area, Place, gather, lay_out, pixels
from imagier_server.tasks.ocr.seams import mend

MAX_PIXELS = 16_000_000
"""Maximum pixels of a page. Larger pictures are halved repeatedly: scales at which a JPEG is cheap to decode."""

MAX_SIDE = 2000
"""Long side of the overview, unless its short side would fall below `MIN_SIDE`."""

MIN_SIDE = 736
"""Minimum short side; smaller pictures are enlarged, because the detector was trained on text of ordinary size."""

ENLARGED = 4.0
"""Maximum enlargement: beyond it a tiny label's letters become too large for the detector."""

MAX_TILES = 24
"""Maximum tiles of one view, which bounds the detector's time."""

SMALL = 13.5
"""Height of boxes in the overview with letters of about 8 pixels, the smallest that are read well."""

GLANCE = 0.5
"""Scale of the glance, in overviews: letters of 10 pixels there leave a clear trace in it."""

GLANCE_SIDE = 480
"""Minimum short side of a glance: below it, text on a pattern melts into it."""

GLANCE_ENLARGED = 1.6
"""Maximum scale of an overview that a glance comes before: smaller pictures are quick to see, and lose characters at a glance."""

GLANCE_COST = 0.5
"""Maximum pixels of a glance, in those of the overview: where it would cost more, the overview is the first look."""

SNUG = (1.0, 0.975)
"""Shares of its scale that a view may have, the first whose canvases have the fewest pixels.

Not a glance: letters of three pixels leave a trace in it, or just none.
"""

CLOSER = 2.0
"""Scale of a closer view, in that of the view before."""

WORTHWHILE = 1.2
"""Minimum scale of it, likewise."""

LARGE = 64.0
"""Height of boxes in a view that may be split in a closer view."""

HUGE = 160.0
"""Height of boxes in the overview that may be split even there."""


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """`canvas` (height, width, 3) shows its view at its `place`."""

    place: Place
    canvas: Pixels


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A page as the detector sees it: page × `scale` (x, y) has `width` and `height`; `tiles` show all of it or some areas."""

    width: int
    height: int
    scale: tuple[float, float]
    tiles: tuple[Tile, ...]

    def join(self, maps: Sequence[Map], before: Map | None = None) -> Map:
        """Merge the tiles' maps (of their canvases' sizes) into one of the view (height, width).

        Elsewhere it is the map of the view `before`, of whatever scale, or empty.
        """
        size = (self.width, self.height)
        joined = np.zeros(size[::-1], np.uint8) if before is None else resized(before, size).copy()
        for tile, seen in zip(self.tiles, maps, strict=True):
            left, top, right, bottom = tile.place.owned
            x, y = tile.place.left, tile.place.top
            joined[top:bottom, left:right] = seen[top - y : bottom - y, left - x : right - x]
        if len(maps) > 1:
            mend(joined, [tile.place for tile in self.tiles], maps)
        return joined


def reading_scale(width: int, height: int) -> float:
    """The scale at which a picture is read: the first of 1, 1/2, 1/4… that is small enough."""
    halvings = max(0, math.ceil(math.log2(width * height / MAX_PIXELS) / 2))
    return 0.5**halvings


def overview(page: Pixels, largest: int = CANVAS_SIDES[-1]) -> View:
    """View all of `page` (height, width, 3), shrunk to about `MAX_SIDE`, or enlarged if it is small; see `lay_out`."""
    return _view(page, _overview_scale(page), largest=largest)


def pixels_of(page: Pixels, view: View) -> Pixels:
    """All of `page` at the size of `view`."""
    return resized(page, (view.width, view.height))


def first_view(page: Pixels) -> View:
    """View all of `page` at a glance, unless that spares little of an overview."""
    near = _overview_scale(page)
    if near > GLANCE_ENLARGED:
        return _view(page, near)
    far = max(GLANCE * near, GLANCE_SIDE / min(page.shape[:2]))
    (_, glance), (_, whole) = _laid_out(page, far, shares=(1.0,)), _laid_out(page, near)
    if pixels(glance) > GLANCE_COST * pixels(whole):
        return _view(page, near)
    return _view(page, far, shares=(1.0,))


def may_be_closer(page: Pixels, view: View) -> bool:
    """Say whether a closer view is worth while.

    Not if `view` has the page's own scale: enlarging it once more finds as much as it loses.
    """
    return max(view.scale) < 1 and _closer_scale(page, view) >= WORTHWHILE * max(view.scale)


def closer_view(page: Pixels, view: View, areas: Sequence[Area]) -> View | None:
    """View `areas` of `view` closer, if there are any, up to the page's own scale or an overview's.

    None if nothing closer is worth while.
    """
    return _view(page, _closer_scale(page, view), view, areas) if areas and may_be_closer(page, view) else None


def same_view(page: Pixels, view: View, areas: Sequence[Area]) -> View:
    """View `areas` of `view` at its own scale."""
    return _view(page, max(view.scale), view, areas, shares=(1.0,))


def farther_view(page: Pixels, view: View, quads: Quads) -> View | None:
    """View `page` on a single tile, if `view` has several and one of the `quads` is high enough to be a split word.

    Also if an enlarged view shows nothing, because its letters may be too large.
    """
    wanted = line_heights(quads).max() * max(view.scale) >= HUGE if len(quads) else max(view.scale) > 1
    if len(view.tiles) == 1 or not wanted:
        return None
    return _view(page, CANVAS_SIDES[-1] / max(page.shape))


def scaled(area: Area, view: View, other: View) -> Area:
    """An area of a view in the `other`."""
    return _in_view(area, view, (other.width, other.height))


def has_large(quads: Quads, view: View) -> bool:
    """Say whether some of `quads`, found in `view`, may be split in a closer one."""
    return bool(len(quads)) and float(line_heights(quads).max()) * max(view.scale) >= LARGE


def is_small_print(quads: Quads, view: View) -> bool:
    """Say whether most of `quads`, found in `view`, have letters that are read better from closer by."""
    return bool(len(quads)) and float(np.median(line_heights(quads))) * max(view.scale) <= SMALL


def join_boxes(far: Quads, near: Quads, scale: float) -> Quads:
    """Merge the boxes of a close view (`near`) with the large ones of a far view (`far`, at `scale`), instead of pieces."""
    middles, heights = near.mean(axis=1), line_heights(near)
    widths = np.linalg.norm(near - np.roll(near, 1, axis=1), axis=2).max(axis=1)
    kept, pieces = [], np.zeros(len(near), bool)
    large = line_heights(far) * scale >= LARGE
    for quad, height in zip(far[large], line_heights(far)[large], strict=True):
        # Distances of the centres, along the quad's longer side and across it.
        sides = np.diff(quad[:3], axis=0)
        lengths = np.linalg.norm(sides, axis=1)
        axes = (sides / lengths[:, None])[np.argsort(-lengths)]
        along, across = np.abs((middles - quad.mean(axis=0)) @ axes.T).T
        beside = across <= height / 2
        inside = beside & (along <= lengths.max() / 2)
        # A block of small print that looked like one large word from afar is no word: its lines are long, if not so long as
        # a far box that lies askew on them; the specks that a near view sees on huge letters are not.
        small = inside & (heights < max(LARGE / scale / 2, height / 4))
        if widths[small].sum() > lengths.max() / 3:
            continue
        kept.append(quad)
        # The last letter may stick out; small print beside it is no letter of it.
        # Nor is a short line on something huge that is no text.
        inside &= ~(small & (widths >= LONG * heights))
        pieces |= inside | (beside & (along <= (lengths.max() + height) / 2) & (heights > height / 2))
    return np.concatenate([np.reshape(kept, (-1, 4, 2)).astype(np.float32), near[~pieces]])


def _overview_scale(page: Pixels) -> float:
    short, long = (float(side) for side in sorted(page.shape[:2]))
    # A strip is enlarged no more than a page: its letters would become too large for the detector.
    enlarged = min(MIN_SIDE / short, MAX_SIDE / long, ENLARGED)
    return enlarged if enlarged > 1 else min(1.0, max(MAX_SIDE / long, MIN_SIDE / short))


def _closer_scale(page: Pixels, view: View) -> float:
    return min(CLOSER * max(view.scale), max(1.0, _overview_scale(page)))


def _view(
    page: Pixels,
    scale: float,
    before: View | None = None,
    areas: Sequence[Area] = (),
    largest: int = CANVAS_SIDES[-1],
    shares: Sequence[float] = SNUG,
) -> View:
    """View `page`, or `areas` of the view `before`, at about `scale`, or as close as `MAX_TILES` allow."""
    size, places = _laid_out(page, scale, before, areas, largest, shares)
    seen = resized(page, size)
    tiles = []
    for place in places:
        canvas = np.zeros((place.height, place.width, 3), np.uint8)
        part = seen[place.top : place.top + place.height, place.left : place.left + place.width]
        canvas[: part.shape[0], : part.shape[1]] = part
        tiles.append(Tile(place, canvas))
    return View(*size, (size[0] / page.shape[1], size[1] / page.shape[0]), tuple(tiles))


def _laid_out(
    page: Pixels,
    scale: float,
    before: View | None = None,
    areas: Sequence[Area] = (),
    largest: int = CANVAS_SIDES[-1],
    shares: Sequence[float] = SNUG,
) -> tuple[tuple[int, int], list[Place]]:
    """The size (width, height) of a view, and its canvases: of `shares` of `scale`, the one with the fewest pixels."""
    height, width = page.shape[:2]
    while True:
        found = []
        for share in shares:
            size = (max(1, round(width * scale * share)), max(1, round(height * scale * share)))
            wanted = [(0, 0, *size)] if before is None else [_in_view(area, before, size) for area in areas]
            found.append((size, [place for area in gather(wanted, size) for place in lay_out(area, size, largest)]))
        size, places = min(found, key=lambda each: pixels(each[1]))
        if len(places) <= MAX_TILES:
            return size, places
        scale *= 0.9


def _in_view(area: Area, before: View, size: tuple[int, int]) -> Area:
    """An area of the view `before` in one of `size`."""
    x, y = size[0] / before.width, size[1] / before.height
    left, top, right, bottom = area
    return (
        math.floor(left * x),
        math.floor(top * y),
        min(size[0], math.ceil(right * x)),
        min(size[1], math.ceil(bottom * y)),
    )


def resized(picture: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """`picture` at `size` (width, height)."""
    if picture.shape[1::-1] == size:
        return picture
    # Shrunk pixels are means, or thin strokes would vanish between the samples.
    interpolation = cv2.INTER_AREA if size[0] < picture.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=interpolation), np.uint8)
