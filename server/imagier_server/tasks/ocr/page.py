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
from imagier_server.tasks.ocr.boxes import Quads

MAX_PIXELS = 16_000_000
"""Maximum pixels of a page. Larger pictures are halved repeatedly: scales at which a JPEG is cheap to decode."""

MAX_SIDE = 2000
"""Long side of the overview, unless its short side would fall below `MIN_SIDE`."""

MIN_SIDE = 736
"""Minimum short side; smaller pictures are enlarged, because the detector was trained on text of ordinary size."""

ENLARGED = 4.0
"""Maximum enlargement: beyond it a tiny label's letters become too large for the detector."""

CANVAS_SIDES = (736, 832, 928, 1024)
"""The detector's heights and widths: few, so that the graph plans memory once for each; multiples of its stride of 32.

No larger, because it misses small letters on a large canvas (14 pixels: found at 1024 x 1024, not at 1408 x 1408).
"""

OVERLAP = 128
"""Overlap of neighbouring tiles in pixels; maps are joined in its middle, where both have context."""

MAX_TILES = 24
"""Maximum tiles of one view, which bounds the detector's time."""

SMALL = 13.5
"""Height of boxes in the overview with letters of about 8 pixels, the smallest that are read well."""

CLOSER = 2.0
LARGE = 64.0
"""Height of boxes in a view that may be split in a closer view."""

HUGE = 160.0
"""Height of boxes in the overview that may be split even there."""

PADDING = 0


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """`canvas` (height and width out of `CANVAS_SIDES`, 3) shows its view from `left`, `top` on."""

    left: int
    top: int
    canvas: Pixels


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A page as the detector sees it: page × `scale` (x, y) has `width` and `height`, and is laid out on `tiles`, row by row."""

    width: int
    height: int
    scale: tuple[float, float]
    tiles: tuple[Tile, ...]

    def join(self, maps: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
        """Merge the tiles' maps (of their canvases' sizes) into one of the view (height, width)."""
        joined = np.zeros((self.height, self.width), np.uint8)
        for tile, seen in zip(self.tiles, maps, strict=True):
            # Row by row and column by column, each tile covers the second half of its overlap with those before it.
            top, left = (begin + OVERLAP // 2 if begin else 0 for begin in (tile.top, tile.left))
            part = joined[top : tile.top + seen.shape[0], left : tile.left + seen.shape[1]]
            part[:] = seen[top - tile.top :, left - tile.left :][: part.shape[0], : part.shape[1]]
        return joined


def reading_scale(width: int, height: int) -> float:
    """The scale at which a picture is read: the first of 1, 1/2, 1/4… that is small enough."""
    halvings = max(0, math.ceil(math.log2(width * height / MAX_PIXELS) / 2))
    return 0.5**halvings


def overview(page: Pixels) -> View:
    """View all of `page` (height, width, 3), shrunk to about `MAX_SIDE`, or enlarged if it is small."""
    short, long = sorted(page.shape[:2])
    # A strip is enlarged no more than a page: its letters would become too large for the detector.
    enlarged = min(MIN_SIDE / short, MAX_SIDE / long, ENLARGED)
    return _view(page, enlarged if enlarged > 1 else min(1.0, max(MAX_SIDE / long, MIN_SIDE / short)))


def closer_view(page: Pixels, view: View, quads: Quads) -> View | None:
    """View `page` closer than `view`, if it has more detail and most `quads` found in it are small print."""
    if max(view.scale) >= 1 or not len(quads):
        return None
    if np.median(_heights(quads)) * max(view.scale) > SMALL:
        return None
    return _view(page, min(1.0, CLOSER * max(view.scale)))


def farther_view(page: Pixels, view: View, quads: Quads) -> View | None:
    """View `page` on a single tile, if `view` has several and one of the `quads` is high enough to be a split word.

    Also if an enlarged view shows nothing, because its letters may be too large.
    """
    wanted = _heights(quads).max() * max(view.scale) >= HUGE if len(quads) else max(view.scale) > 1
    if len(view.tiles) == 1 or not wanted:
        return None
    return _view(page, CANVAS_SIDES[-1] / max(page.shape))


def join_boxes(far: Quads, near: Quads, scale: float) -> Quads:
    """Merge the boxes of a close view (`near`) with the large ones of a far view (`far`, at `scale`), instead of pieces."""
    middles, heights = near.mean(axis=1), _heights(near)
    widths = np.linalg.norm(near - np.roll(near, 1, axis=1), axis=2).max(axis=1)
    kept, pieces = [], np.zeros(len(near), bool)
    large = _heights(far) * scale >= LARGE
    for quad, height in zip(far[large], _heights(far)[large], strict=True):
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
        pieces |= inside | (beside & (along <= (lengths.max() + height) / 2) & (heights > height / 2))
    return np.concatenate([np.reshape(kept, (-1, 4, 2)).astype(np.float32), near[~pieces]])


def _heights(quads: Quads) -> npt.NDArray[np.float32]:
    """The shorter side of each."""
    return np.asarray(np.linalg.norm(quads - np.roll(quads, 1, axis=1), axis=2).min(axis=1))


def _view(page: Pixels, scale: float) -> View:
    height, width = page.shape[:2]
    while True:
        seen_width, seen_height = (max(1, round(side * scale)) for side in (width, height))
        columns, rows = _spans(seen_width), _spans(seen_height)
        if len(columns) * len(rows) <= MAX_TILES:
            break
        scale *= 0.9
    seen = page
    if page.shape[:2] != (seen_height, seen_width):
        # Shrunk pixels are means, or thin strokes would vanish between the samples.
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        seen = np.asarray(cv2.resize(page, (seen_width, seen_height), interpolation=interpolation), np.uint8)
    tiles = []
    for top, tall in rows:
        for left, wide in columns:
            canvas = np.full((tall, wide, 3), PADDING, np.uint8)
            part = seen[top : top + tall, left : left + wide]
            canvas[: part.shape[0], : part.shape[1]] = part
            tiles.append(Tile(left, top, canvas))
    return View(seen_width, seen_height, (seen_width / width, seen_height / height), tuple(tiles))


def _spans(length: int) -> list[tuple[int, int]]:
    """(begin, canvas side) of the fewest tiles that cover `length`, of the smallest canvas that does."""
    step = CANVAS_SIDES[-1] - OVERLAP
    count = max(1, math.ceil((length - OVERLAP) / step))
    side = next(side for side in CANVAS_SIDES if count * (side - OVERLAP) + OVERLAP >= length)
    return [(number * (side - OVERLAP), side) for number in range(count)]
