# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from imagier_server.decode.jpeg import has_more_scans
from PIL import Image


def jpeg(**options: object) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(file, "JPEG", **options)
    return file.getvalue()


def with_scans(extra: int) -> bytes:
    """A progressive file whose last scan is there `extra` times more."""
    file = jpeg(progressive=True)
    last = file.rindex(b"\xff\xda")
    return file[:-2] + file[last:-2] * extra + file[-2:]


def test_scans_of_a_progressive_file_are_counted() -> None:
    scans = jpeg(progressive=True).count(b"\xff\xda")
    assert has_more_scans(with_scans(0), scans - 1)
    assert not has_more_scans(with_scans(0), scans)
    assert has_more_scans(with_scans(1000), 1000)
    assert not has_more_scans(with_scans(1000), 1000 + scans)


def test_one_scan_that_holds_all_is_the_last() -> None:
    assert not has_more_scans(jpeg() + jpeg(progressive=True) * 100, 3)
    assert not has_more_scans(jpeg()[:-2] + b"\xff\xda" * 200, 3)


def test_what_follows_the_picture_or_lies_in_a_segment_does_not_count() -> None:
    """A thumbnail, a second picture, the film behind a moving photo."""
    assert not has_more_scans(jpeg(progressive=True) + b"\xff\xda\0\2" * 1000, 20)
    assert not has_more_scans(jpeg(progressive=True, comment=b"\xff\xda\0\2" * 1000), 20)
    assert has_more_scans(jpeg(progressive=True)[:-2] + b"\xff\xda\0\2" * 1000, 20)


@given(st.binary(max_size=200), st.integers(0, 3))
def test_never_an_exception(noise: bytes, most: int) -> None:
    assert has_more_scans(b"\xff\xd8" + noise, most) in {True, False}
