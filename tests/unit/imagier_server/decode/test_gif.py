# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagier_server.decode import gif
from imagier_server.decode.decoder import decode
from imagier_server.decode.formats import Format
from imagier_server.decode.refusals import Caps, TooLargeError
from support import made_pictures as made

CAPS = Caps(1_000_000, 5_000)
IMAGE = made.encoded(made.quadrants(), "GIF")
FIRST = IMAGE.index(b"\x2c\0\0\0\0\x80\0\x40\0")


@pytest.mark.parametrize(
    "piece",
    [b"\x21\xfe\1a\0", b"\x21\xf9\4\0\0\0\0\0", b"\0", b"\x21\xff\x0bNETSCAPE2.0\3\1\0\0\0", b"\x21\1\1a\0"],
    ids=["comments", "control", "junk", "loops", "plain text"],
)
def test_what_stands_before_the_first_picture_is_counted(piece: bytes) -> None:
    few = IMAGE[:FIRST] + piece * 1000 + IMAGE[FIRST:]
    whole = decode(IMAGE, Format.GIF, CAPS, lambda *_: 1.0)[0].tobytes()
    assert decode(few, Format.GIF, CAPS, lambda *_: 1.0)[0].tobytes() == whole
    with pytest.raises(TooLargeError, match="before its first picture"):
        gif.judge(IMAGE[:FIRST] + piece * gif.MOST_BLOCKS + IMAGE[FIRST:], CAPS)


def test_one_long_comment_is_counted_by_its_blocks() -> None:
    with pytest.raises(TooLargeError, match="before its first picture"):
        gif.judge(IMAGE[:FIRST] + b"\x21\xfe" + b"\1a" * gif.MOST_BLOCKS + b"\0" + IMAGE[FIRST:], CAPS)
    eight_megabytes = b"\x21\xfe" + (b"\xff" + b"a" * 255) * 32_000 + b"\0"
    assert gif.judge(IMAGE[:FIRST] + eight_megabytes + IMAGE[FIRST:], CAPS)


@given(st.binary(max_size=300))
def test_never_anything_but_the_file_or_a_refusal(noise: bytes) -> None:
    with suppress(TooLargeError):
        assert gif.judge(b"GIF89a" + noise, CAPS) == b"GIF89a" + noise
