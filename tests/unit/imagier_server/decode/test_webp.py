# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from imagier_server.decode import webp
from imagier_server.decode.decoder import decode
from imagier_server.decode.formats import Format
from imagier_server.decode.refusals import Caps, TooLargeError
from imagier_server.decode.webp import announced
from PIL import Image
from support import made_pictures as made

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


CAPS = Caps(1_000_000, 5_000)


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 90}])
def test_what_is_cut_behind_the_pixels_is_left_out(options: dict[str, object]) -> None:
    """Browsers show such a file as it arrives; the lossless one's pixels end with its file."""
    image = made.encoded(made.noise(), "WEBP", exif=made.orientation(1), **options)
    whole = decode(image, Format.WEBP, CAPS, lambda *_: 1.0)[0].tobytes()
    metadata = image.rindex(b"EXIF")
    for kept in (metadata, metadata + 3, metadata + 8, len(image) - 1):
        assert decode(image[:kept], Format.WEBP, CAPS, lambda *_: 1.0)[0].tobytes() == whole
    for kept in (metadata - 3, metadata // 2, 40):
        with pytest.raises(OSError):  # noqa: PT011 - Pillow's text is not ours
            decode(image[:kept], Format.WEBP, CAPS, lambda *_: 1.0)


def test_chunks_are_counted() -> None:
    image = FILES[b"VP8X"]
    flood = image[:30] + b"none\0\0\0\0" * webp.MOST_CHUNKS + image[30:]
    with pytest.raises(TooLargeError, match="chunks"):
        webp.judge(flood, CAPS)
    assert webp.judge(image, CAPS) is image
