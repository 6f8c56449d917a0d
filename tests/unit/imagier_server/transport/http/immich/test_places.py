# SPDX-License-Identifier: Apache-2.0
"""Places in the file, compared with Pillow's own way of turning a picture upright."""

from __future__ import annotations

import numpy as np
import pytest
from imagier_server.tasks.ocr.values import Point, Polygon
from imagier_server.transport.http.immich.places import Sheet
from PIL import Image, ImageDraw, ImageOps

FILE = (241, 97)
"""Odd sizes, so that a mix-up of sides shows."""


def marked(corners: tuple[tuple[int, int], tuple[int, int]]) -> Image.Image:
    """A picture as it lies in its file, with a rectangle from one pixel's place to another's."""
    picture = Image.new("L", FILE)
    ImageDraw.Draw(picture).rectangle((*corners[0], corners[1][0] - 1, corners[1][1] - 1), fill=255)
    return picture


def upright(picture: Image.Image, orientation: int) -> Image.Image:
    picture.getexif()[0x0112] = orientation
    return ImageOps.exif_transpose(picture)


def outline(picture: Image.Image) -> Polygon:
    left, top, right, bottom = picture.getbbox() or (0, 0, 0, 0)
    return Point(left, top), Point(right, top), Point(right, bottom), Point(left, bottom)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_place_in_the_upright_picture_is_found_in_the_file(orientation: int) -> None:
    turned = upright(marked(((30, 20), (101, 33))), orientation)
    sheet = Sheet(*turned.size, orientation)
    assert (sheet.width, sheet.height) == FILE
    # Wherever reading begins, and whichever way the corners go: the order is that of the file.
    polygon = outline(turned)
    for first in range(4):
        around = polygon[first:] + polygon[:first]
        for corners in (around, around[::-1]):
            quad = sheet.quad((corners[0], corners[1], corners[2], corners[3]))
            found = np.array([(at.x * FILE[0], at.y * FILE[1]) for at in quad])
            assert np.allclose(found, [(30, 20), (101, 20), (101, 33), (30, 33)])


def test_what_lies_outside_is_cut_off() -> None:
    quad = Sheet(100, 50, 1).quad((Point(-3, -1), Point(104, 0), Point(101, 51), Point(0, 50)))
    assert quad == (Point(0, 0), Point(1, 0), Point(1, 1), Point(0, 1))
