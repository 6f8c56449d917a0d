# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagier_server.decode import jpeg
from imagier_server.decode.decoder import decode
from imagier_server.decode.formats import Format
from imagier_server.decode.refusals import Caps, RefusedError, TooLargeError
from support import made_pictures as made

CAPS = Caps(1_000_000, 5_000)
END = b"\xff\xd9"
KINDS = {
    "plain": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "many restarts": {"restart_marker_blocks": 1, "subsampling": 0},
    "progressive with restarts": {"progressive": True, "restart_marker_blocks": 3, "subsampling": "4:2:2"},
    "grey": {"grey": True},
    "RGB": {"keep_rgb": True},
    "best": {"quality": 100, "subsampling": 0},
}


def drawn(kind: str = "plain", size: tuple[int, int] = (150, 101)) -> bytes:
    options = dict(KINDS[kind])
    picture = made.noise(*size).convert("L" if options.pop("grey", False) else "RGB")
    return made.encoded(picture, "JPEG", **options)


def sequential_by_component() -> bytes:
    """A scan for each of the three components, as no camera but the standard allows: each with a plain grey JPEG's pixels."""
    grey = made.encoded(made.noise(64, 48).convert("L"), "JPEG")
    frame, scan = grey.index(b"\xff\xc0"), grey.index(b"\xff\xda")
    header = grey[frame : frame + 9] + b"\3" + b"\1\x11\0" + b"\2\x11\0" + b"\3\x11\0"
    header = header[:2] + struct.pack("!H", 17) + header[4:]
    scans = [grey[scan : scan + 5] + bytes([number]) + grey[scan + 6 : -2] for number in (1, 2, 3)]
    return grey[:frame] + header + grey[frame + 13 : scan] + b"".join(scans) + END


def pixels(image: bytes) -> bytes:
    return decode(image, Format.JPEG, CAPS, lambda *_: 1.0)[0].tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_whole_is_read_with_or_without_its_end_mark(kind: str) -> None:
    image = drawn(kind)
    with_it = pixels(image)
    assert pixels(image[:-2]) == pixels(image[:-1]) == with_it
    assert pixels(image + END * 1000) == pixels(image + drawn()) == with_it
    assert pixels(image[:-2] + b"\xff\xff\xff" + END) == with_it
    assert pixels(image[:-2] + bytes(1000) + END) == with_it


@pytest.mark.parametrize("tail", [b"", END, b"\xff\xff" + END, b"\xff\xd0" + END, END * 100, b"\xff\xc4\0\2" + END])
@pytest.mark.parametrize("kind", KINDS)
def test_what_lacks_pixels_is_refused_whatever_it_says_at_its_end(kind: str, tail: bytes) -> None:
    image = drawn(kind)
    for kept in (0.3, 0.6, 0.9, 0.98):
        with pytest.raises((RefusedError, OSError), match=r"Truncated|truncated"):
            pixels(image[: int(len(image) * kept)] + tail)


@pytest.mark.parametrize("kind", ["restarts", "many restarts", "progressive with restarts"])
@pytest.mark.parametrize("lost", [1, 3, 8])
def test_what_lacks_pixels_in_the_middle_is_refused(kind: str, lost: int) -> None:
    image = drawn(kind)
    marks = [at for at in range(len(image)) if image[at] == 0xFF and 0xD0 <= image[at + 1] <= 0xD7]
    first = image.rindex(b"\xff\xda") if "progressive" in kind else marks[0]
    marks = [mark for mark in marks if mark >= first]
    with pytest.raises(RefusedError, match="truncated"):
        pixels(image[: marks[0]] + image[marks[lost if lost < len(marks) else -1] :])


def test_a_scan_for_each_component() -> None:
    image = sequential_by_component()
    assert len(pixels(image)) == 64 * 48 * 3
    assert pixels(image[:-2]) == pixels(image)
    last = image.rindex(b"\xff\xda")
    for cut in (image[: last - 300], image[:last], image[: last + 200]):
        for tail in (b"", END):
            with pytest.raises(RefusedError, match="truncated"):
                pixels(cut + tail)


def test_a_progressive_file_without_its_finest_scans_says_so_by_its_end() -> None:
    """The standard lets an encoder leave them out; a file that has no end was cut there."""
    image = drawn("progressive")
    last = image.rindex(b"\xff\xc4", 0, image.rindex(b"\xff\xda"))
    assert len(pixels(image[:last] + END)) == len(pixels(image))
    with pytest.raises(RefusedError, match="truncated"):
        pixels(image[:last])


def test_restarts_are_counted_before_a_large_picture_is_believed() -> None:
    image = bytearray(drawn("many restarts"))
    frame = image.index(b"\xff\xc0")
    image[frame + 5 : frame + 9] = struct.pack("!HH", 3_000, 300)
    with pytest.raises(RefusedError, match="truncated"):
        pixels(bytes(image))


@pytest.mark.parametrize(
    "filling",
    [b"\xff" * (2 << 20), bytes(2 << 20), b"\xff\xfe\0\2" * 500_000, b"\xff\x01" * 500_000, b"\xff\xfe\0\0" * 500_000],
    ids=["fill bytes", "zeros", "empty comments", "TEM", "comments shorter than nothing"],
)
def test_a_header_that_only_makes_work_is_refused(filling: bytes) -> None:
    """Thirty megabytes of it held a decoder for half a minute, and then came an answer."""
    image = drawn()
    for at in (2, image.index(b"\xff\xda")):
        with pytest.raises(TooLargeError, match="too many segments"):
            jpeg.judge(image[:at] + filling + image[at:], CAPS)
    with pytest.raises(TooLargeError, match="too many segments"):
        jpeg.judge(image[:2] + filling, CAPS)


def test_a_header_with_much_in_it_is_read() -> None:
    image = drawn()
    much = b"\xff\xe2" + struct.pack("!H", 65_535) + bytes(65_533)
    tables = image.index(b"\xff\xdb")
    for filling in (much * 300, b"\xff" * 1000, bytes(1000), b"\xff\xfe\0\2" * 1000):
        assert pixels(image[:tables] + filling + image[tables:]) == pixels(image)


def test_segments_between_scans_are_counted_too() -> None:
    image = drawn("progressive")
    last = image.rindex(b"\xff\xda")
    assert pixels(image[:last] + b"\xff\xfe\0\2" * 1000 + image[last:]) == pixels(image)
    with pytest.raises(TooLargeError):
        pixels(image[:last] + b"\xff\xfe\0\2" * 100_000 + image[last:])


def with_scans(extra: int) -> bytes:
    """A progressive file whose last scan is there `extra` times more."""
    file = drawn("progressive")
    last = file.rindex(b"\xff\xda")
    return file[:-2] + file[last:-2] * extra + file[-2:]


def test_scans_are_counted() -> None:
    few = Caps(150 * 101, 5_000)  # so that the passes allowed are as many scans
    assert jpeg.judge(with_scans(0), few)
    assert jpeg.judge(with_scans(jpeg.MOST_PASSES - 10), few)
    with pytest.raises(TooLargeError, match="scans"):
        jpeg.judge(with_scans(jpeg.MOST_PASSES - 9), few)


def test_what_follows_the_picture_or_lies_in_a_segment_does_not_count() -> None:
    """A thumbnail, a second picture, the film behind a moving photo."""
    few = Caps(150 * 101, 5_000)
    assert jpeg.judge(drawn("progressive") + b"\xff\xda\0\2" * 1000, few)
    assert jpeg.judge(drawn("plain") + drawn("progressive") * 100, few)
    commented = made.encoded(made.noise(150, 101), "JPEG", progressive=True, comment=b"\xff\xda\0\2" * 1000)
    assert jpeg.judge(commented, few)
    with pytest.raises(TooLargeError, match="scans"):
        jpeg.judge(drawn("progressive")[:-2] + b"\xff\xda\0\2" * 1000, few)


@given(st.binary(max_size=200), st.sampled_from(sorted(KINDS)), st.integers(2, 4000))
def test_never_anything_but_a_file_or_a_refusal(noise: bytes, kind: str, at: int) -> None:
    image = drawn(kind, (24, 16))
    for spoiled in (b"\xff\xd8" + noise, image[:at] + noise + image[at:], image[:at] + noise):
        with suppress(RefusedError):
            jpeg.judge(spoiled, CAPS)
        with suppress(RefusedError, OSError, SyntaxError, ValueError, IndexError, struct.error, TypeError, KeyError):
            pixels(spoiled)
