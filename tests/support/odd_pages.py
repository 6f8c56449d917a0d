# SPDX-License-Identifier: Apache-2.0
"""Odd files whose picture is one of several: TIFFs of every kind, raw files, thumbnails before it, corners of what is coded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from PIL import Image

from support import made_pictures as made
from support import made_tiff
from support.heic import crop, heic
from support.odd_case import NOT_READ, SIZE, Case


def kinds_of_tiff() -> Iterator[Case]:
    """Each kind of samples in each byte order, classic and Big; layouts and compressions in turn."""
    ways = itertools.cycle(
        itertools.product((made_tiff.NONE, made_tiff.DEFLATE, made_tiff.PACKBITS, made_tiff.LZMA), range(6))
    )
    for kind, order, big in itertools.product(made_tiff.kinds(), "<>", (False, True)):
        compression, number = next(ways)
        layouts = list(made_tiff.layouts(kind.samples))
        layout, options = layouts[number % len(layouts)]
        image = made_tiff.tiff(kind.page(compression, **options), order=order, big=big)
        name = f"TIFF {kind.name} {order} {'Big' if big else 'classic'} {layout} {compression}"
        if says := kind.refusal(planar=layout.startswith("planes")):
            yield Case(name, image, reason=NOT_READ, says=says)
        else:
            middles = (kind.expected[y, x] for y in (12, 36) for x in (16, 48))
            yield Case(name, image, (64, 48), tuple(tuple(map(int, middle.round())) for middle in middles), 3)


def hidden_pages() -> Iterator[Case]:
    """The picture behind a thumbnail, in a camera's raw file, or in a corner of what is coded."""
    shown = np.asarray(made.quadrants(*SIZE))
    front = np.full((8, 12), 99, np.uint8)
    for order, big in itertools.product("<>", (False, True)):
        for name, tags in (("reduced", {254: 1}), ("a mask", {254: 4}), ("reduced of old", {255: 2})):
            pages = [made_tiff.Page(front, tags=tags), made_tiff.Page(shown, made_tiff.RGB)]
            yield Case(f"TIFF behind {name} {order} {big}", made_tiff.tiff(*pages, order=order, big=big))
        sensor = made_tiff.Page(np.zeros((64, 128), np.uint16), made_tiff.CFA)
        preview = made_tiff.Page(shown, made_tiff.RGB, made_tiff.DEFLATE, tags={254: 1})
        for name, tags in (
            ("DNG", {254: 1, made_tiff.DNG_VERSION: b"\1\4\0\0"}),
            ("NEF", {254: 1, made_tiff.MAKE: b"NIKON\0"}),
        ):
            for children in ([sensor, preview], [sensor]):
                image = made_tiff.tiff(made_tiff.Page(front, tags=tags, children=children), order=order, big=big)
                refused = {} if len(children) == 2 else {"reason": NOT_READ, "says": f"{name} raw file"}
                yield Case(f"{name} {order} {big} {len(children)}", image, **refused)
    # Each quadrant a block, so that its colours do not run.
    for name, size in (("small", (256, 192)), ("tiny", (512, 384))):
        paper = Image.new("RGB", size, "white")
        paper.paste(made.quadrants(*SIZE), ((size[0] - SIZE[0]) // 2, (size[1] - SIZE[1]) // 2))
        for grid in (None, (1, 1)):
            yield Case(f"HEIC {name} crop {grid}", heic(paper, changes=[crop(SIZE)], grid=grid), tolerance=4)
