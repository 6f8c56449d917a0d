# SPDX-License-Identifier: Apache-2.0
"""Lays canvases of a few sizes out over areas of a view."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Area = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels of a view."""

CANVAS_SIDES = (320, 480, 640, 736, 768, 896, 1024)
"""The detector's heights and widths, multiples of its stride of 32.

Seven, because these cost 6 % more pixels than all multiples of 32 would, over glances of usual sizes, closer looks and whole pages;
and no more, because a GPU warms each pair up and batches are of one shape.
None is larger, because the detector misses small letters on a large canvas (14 pixels: found at 1024 x 1024, not at 1408 x 1408).
"""

OVERLAP = 128
"""Overlap of neighbouring canvases in pixels; maps are joined in its middle, where both have context."""

CONTEXT = OVERLAP // 2
"""What the detector sees around an area, where the view goes on."""

MANY = 24
"""Number of areas from which on they are shown as one: comparing pairs would take longer than looking."""


@dataclass(frozen=True, slots=True)
class Place:
    """A canvas (sides out of `CANVAS_SIDES`) from `left`, `top` of the view on; `owned` is what its map is used for."""

    left: int
    top: int
    width: int
    height: int
    owned: Area


def lay_out(area: Area, size: tuple[int, int], largest: int = CANVAS_SIDES[-1]) -> list[Place]:
    """The canvases that show `area` with the fewest pixels, in a view of `size` (width, height); row by row.

    None of their sides is above `largest`: a single short line is overlooked where a canvas shows much else.
    """
    left, top, right, bottom = area
    return [
        Place(x, y, wide, tall, (begin, upper, end, lower))
        for y, tall, upper, lower in _line_up(top, bottom, size[1], largest)
        for x, wide, begin, end in _line_up(left, right, size[0], largest)
    ]


def pixels(places: Sequence[Place]) -> int:
    """Pixels that the detector sees: its time is proportional to them."""
    return sum(place.width * place.height for place in places)


def cost(area: Area, size: tuple[int, int], largest: int = CANVAS_SIDES[-1]) -> int:
    """The pixels of the canvases that `lay_out` would return."""
    left, top, right, bottom = area
    across, down = _line_up(left, right, size[0], largest), _line_up(top, bottom, size[1], largest)
    return sum(wide for _, wide, _, _ in across) * sum(tall for _, tall, _, _ in down)


def gather(areas: Sequence[Area], size: tuple[int, int]) -> list[Area]:
    """Merge those of `areas` that canvases show more cheaply together, in a view of `size`."""
    gathered = list(areas) if len(areas) <= MANY else [_around(areas)]
    costs = [cost(area, size) for area in gathered]
    pairs = [(second, first) for second in range(len(gathered)) for first in range(second)]
    while pairs:
        second, first = pairs.pop()
        together = _around((gathered[first], gathered[second]))
        price = cost(together, size)
        if price <= costs[first] + costs[second]:
            del gathered[second], costs[second]
            gathered[first], costs[first] = together, price
            pairs = [(second, first) for second in range(len(gathered)) for first in range(second)]
    return gathered


def _around(areas: Sequence[Area]) -> Area:
    lefts, tops, rights, bottoms = zip(*areas, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _line_up(begin: int, end: int, length: int, largest: int) -> list[tuple[int, int, int, int]]:
    """Canvases along a side of `length` that show `begin` to `end`: where each starts, its side, what it owns."""
    first, last = max(0, begin - CONTEXT), min(length, end + CONTEXT)
    covered = last - first - OVERLAP
    count, side = min(
        ((max(1, math.ceil(covered / (side - OVERLAP))), side) for side in CANVAS_SIDES if side <= largest),
        key=lambda choice: (choice[0] * choice[1], choice[0]),
    )
    # No padding where the view goes on.
    first = max(0, min(first, length - count * (side - OVERLAP) - OVERLAP))
    starts = [first + number * (side - OVERLAP) for number in range(count)]
    cuts = [begin, *(start + OVERLAP // 2 for start in starts[1:]), end]
    return [(start, side, cuts[number], cuts[number + 1]) for number, start in enumerate(starts)]
