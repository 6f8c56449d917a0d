# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import made_pictures as made
import pytest
from imagier_server.decode.webp import announced
from PIL import Image

FILES = {
    b"VP8 ": made.encoded(Image.new("RGB", (301, 7)), "WEBP"),
    b"VP8L": made.encoded(Image.new("RGB", (301, 7)), "WEBP", lossless=True),
    b"VP8X": made.encoded(Image.new("RGB", (301, 7)), "WEBP", exif=made.orientation(6)),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_size_that_each_kind_of_file_announces(kind: bytes) -> None:
    assert FILES[kind][12:16] == kind
    assert announced(FILES[kind]) == (301, 7)


@pytest.mark.parametrize("kind", FILES)
def test_a_header_cut_short_announces_nothing(kind: bytes) -> None:
    assert all(announced(FILES[kind][:kept]) is None for kept in range(25))
    assert announced(FILES[kind][:12] + b"JUNK" + FILES[kind][16:]) is None
