# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from contextlib import suppress

import pi_heif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagier_server.decode.formats import Format, sniff
from imagier_server.errors import InvalidImageError
from PIL import Image


@pytest.mark.parametrize("fmt", [fmt for fmt in Format if fmt is not Format.HEIC])
def test_what_pillow_writes_is_recognised(fmt: Format) -> None:
    file = io.BytesIO()
    name = "JPEG2000" if fmt is Format.JPEG2000 else fmt.value.removeprefix("image/")
    Image.new("RGB", (16, 16), "red").save(file, name)
    assert sniff(file.getvalue()) is fmt


def test_heic_by_its_brand() -> None:
    assert pi_heif.__version__
    assert sniff(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic") is Format.HEIC
    assert sniff(b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1avifmiaf") is Format.AVIF, (
        "a generic brand, told by the others"
    )


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"%PDF-1.7", b"<svg/>", b"GIF90a", b"RIFF\x00\x00\x00\x00WAVE", b"BM123456", b"\xff\xd8"]
)
def test_everything_else_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidImageError) as refused:
        sniff(data)
    assert refused.value.field == "image"


@given(st.binary(max_size=64))
def test_never_anything_but_a_format_or_a_refusal(data: bytes) -> None:
    with suppress(InvalidImageError):
        assert sniff(data) in Format
