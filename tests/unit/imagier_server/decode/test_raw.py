# SPDX-License-Identifier: Apache-2.0
"""Cameras' raw files in the dress of TIFF. Their previews show QUADRANTS; the thumbnail in front is grey, and no answer."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from imagier_server.decode.decoder import decode, load_codecs
from imagier_server.decode.formats import Format
from imagier_server.decode.refusals import Caps, RefusedError
from PIL import Image
from support.made_pictures import encoded, quadrants
from support.made_tiff import (
    CFA,
    COMPRESSION,
    DEFLATE,
    DNG_VERSION,
    JPEG,
    JPEG_LENGTH,
    JPEG_OFFSET,
    MAKE,
    NONE,
    OLD_JPEG,
    ORIENTATION,
    RGB,
    SUBFILE,
    SUBSAMPLING,
    YCBCR,
    Page,
    tiff,
)

CAPS = Caps(1_000_000, 5_000)


@pytest.fixture(scope="module", autouse=True)
def _codecs() -> None:
    load_codecs()


def pixels(image: bytes) -> np.ndarray:
    return np.asarray(decode(image, Format.TIFF, CAPS, lambda *_: 1.0)[0]).astype(int)


def refused(image: bytes) -> str:
    with pytest.raises(RefusedError) as raised:
        pixels(image)
    return str(raised.value)


def sensor(width: int = 256, height: int = 128, **tags: int) -> Page:
    del tags
    return Page(np.zeros((height, width), np.uint16), CFA, tags={SUBFILE: 0})


def preview(width: int, height: int, compression: int = JPEG, photometric: int = YCBCR) -> Page:
    tags = {SUBFILE: 1, SUBSAMPLING: [2, 2]} if photometric == YCBCR else {SUBFILE: 1}
    return Page(np.asarray(quadrants(width, height)), photometric, compression, tags=tags)


def dng(*children: Page, **tags: object) -> bytes:
    return tiff(
        Page(np.full((106, 160, 3), 99, np.uint8), RGB, tags={SUBFILE: 1, DNG_VERSION: b"\1\4\0\0"}, children=children)
    )


def is_quadrants(image: bytes, width: int, height: int) -> bool:
    found = pixels(image)
    return (
        found.shape == (height, width, 3)
        and np.abs(found - np.asarray(quadrants(width, height)).astype(int)).mean() < 4
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [NONE, DEFLATE, JPEG])
def test_a_raw_file_is_read_by_its_largest_preview(compression: int, order: str) -> None:
    photometric = YCBCR if compression == JPEG else RGB
    previews = [preview(width, width // 2, compression, photometric) for width in (64, 200, 160)]
    front = Page(
        np.full((106, 160, 3), 99, np.uint8),
        RGB,
        tags={SUBFILE: 1, MAKE: b"NIKON CORPORATION\0"},
        children=[sensor(), *previews],
    )
    assert is_quadrants(tiff(front, order=order), 200, 100)
    assert is_quadrants(dng(sensor(), *previews), 200, 100)


@pytest.mark.parametrize("make", [b"NIKON CORPORATION\0", b"SONY\0", b"PENTAX\0", b"\0"])
def test_a_raw_file_whose_preview_is_a_whole_jpeg(make: bytes) -> None:
    """As NEF, ARW and PEF have it: tags that point to a file of its own."""
    jpeg = encoded(quadrants(192, 96), "JPEG", quality=95)
    front = Page(np.full((106, 160, 3), 99, np.uint8), RGB, tags={SUBFILE: 1, MAKE: make}, children=[sensor()])
    file = bytearray(
        tiff(
            front, Page(np.zeros((1, 1), np.uint8), tags={SUBFILE: 1, JPEG_OFFSET: 0x01020304, JPEG_LENGTH: len(jpeg)})
        )
    )
    file = file.replace(struct.pack("<I", 0x01020304), struct.pack("<I", len(file))) + jpeg
    assert is_quadrants(bytes(file), 192, 96)


def test_a_canon_raw_file() -> None:
    """Its first directory is the preview: a JPEG file, though it says that it is TIFF's old JPEG."""
    jpeg = encoded(quadrants(192, 96), "JPEG", quality=95)
    file = bytearray(tiff(Page(np.zeros((96, 192, 3), np.uint8), YCBCR, tags={COMPRESSION: OLD_JPEG}), sensor()))
    (first,) = struct.unpack_from("<I", file, 4)
    start = len(file)
    file += jpeg
    for tag, value in ((273, start), (279, len(jpeg))):
        at = file.index(struct.pack("<HHI", tag, 4, 1), first)
        struct.pack_into("<I", file, at + 8, value)
    assert is_quadrants(bytes(file), 192, 96)


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("compression", [NONE, JPEG])
def test_a_preview_is_turned_as_the_raw_file_says(orientation: int, compression: int) -> None:
    turned = quadrants(200, 100).transpose(
        {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[orientation]
    )
    photometric = YCBCR if compression == JPEG else RGB
    shown = Page(
        np.asarray(turned),
        photometric,
        compression,
        tags={SUBFILE: 1, **({SUBSAMPLING: [2, 2]} if compression == JPEG else {})},
    )
    front = Page(
        np.full((106, 160, 3), 99, np.uint8),
        RGB,
        tags={SUBFILE: 1, DNG_VERSION: b"\1\4\0\0", ORIENTATION: orientation},
        children=[sensor(), shown],
    )
    assert is_quadrants(tiff(front), 200, 100)


@pytest.mark.parametrize(
    ("first", "name"),
    [
        ({SUBFILE: 1, DNG_VERSION: b"\1\4\0\0"}, "DNG"),
        ({SUBFILE: 1, MAKE: b"NIKON CORPORATION\0"}, "NEF"),
        ({SUBFILE: 1, MAKE: b"SONY\0"}, "ARW"),
        ({SUBFILE: 1}, "camera's"),
    ],
)
def test_a_raw_file_without_a_preview_of_use_is_refused_by_name(first: dict[int, int | bytes], name: str) -> None:
    front = Page(np.full((106, 160, 3), 99, np.uint8), RGB, tags=first, children=[sensor(2048, 256)])
    assert f"{name} raw file" in refused(tiff(front))
    assert f"{name} raw file" in refused(tiff(Page(np.zeros((64, 64), np.uint16), CFA, tags=first)))
