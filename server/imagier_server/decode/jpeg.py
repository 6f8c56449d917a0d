# SPDX-License-Identifier: Apache-2.0
"""Reads a JPEG's markers: how much work it is, where its scans end, and whether all of their data is there.

libjpeg fills missing data with grey, and Pillow swallows its warning. But while more data may come, libjpeg waits: given a scan
without its end marker, followed by a few meaningless bits, it either has the whole scan or waits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from PIL import Image, ImageFile

from imagier_server.decode import holes
from imagier_server.decode.refusals import Caps, RefusedError, TooLargeError

# ITU-T T.81, table B.1. Within a scan, FF 00 is a byte, and D0 to D7 restart it.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
_STOP = re.compile(rb"\xff[^\x00\xff]")
_TABLES, _START_OF_SCAN, _END_OF_IMAGE, _RESTART_INTERVAL = 0xC4, 0xDA, 0xD9, 0xDD
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_HUFFMAN = frozenset({0xC0, 0xC1, 0xC2})

MOST_PASSES = 20
"""Passes over the largest picture allowed. Each scan is a pass over its picture; encoders write about ten."""
MOST_SEGMENTS = 1 << 16
"""In all; a sixteenth of them before the first scan. A profile or second picture in pieces has some hundreds."""
MOST_FILL = 1 << 16
"""Bytes before the first scan outside any segment."""

_ONES = b"\xff\x00"
"""Eight 1 bits: no Huffman code consists of 1 bits only, and encoders pad the last byte of a scan with them."""
_END = b"\xff\xd9"
_ZEROS = bytes(16)
_CUT_SHORT = "the JPEG file is truncated: a part of its pixels is missing"


class Segment(NamedTuple):
    """A marker, and the range of its parameters; after those of a scan come its pixels."""

    marker: int
    begin: int
    end: int


class Frame(NamedTuple):
    """The frame header; sampling factors (horizontal, vertical) by component."""

    marker: int
    width: int
    height: int
    sampling: dict[int, tuple[int, int]]


class Scan(NamedTuple):
    """Components, first and last coefficient, bits left to other scans; restart interval (0: none); range of its pixels."""

    components: frozenset[int]
    first: int
    last: int
    bits: int
    interval: int
    begin: int
    end: int


def judge(image: bytes, caps: Caps) -> bytes:
    """The file that Pillow is to open. Raises `RefusedError`.

    Ignores what follows the first picture (a second one, a video), and the content of segments (a thumbnail).
    """
    fill, at, frame = 0, 2, None
    for number, segment in enumerate(_segments(image)):
        fill += segment.begin - at - 4
        if number >= MOST_SEGMENTS // 16 or fill > MOST_FILL:
            raise TooLargeError("the JPEG file has too many segments, or too many bytes between them")
        if segment.marker in _FRAMES:
            frame = _frame(image, segment)
        if segment.marker == _START_OF_SCAN:
            break
        at = segment.end
    else:
        fill += len(image) - at
    if fill > MOST_FILL:
        raise TooLargeError("the JPEG file has too many segments, or too many bytes between them")
    if frame and frame.width and frame.height:
        caps.check(frame.width, frame.height)
        if _has_more_scans(image, MOST_PASSES * caps.pixels // (frame.width * frame.height)):
            raise TooLargeError("the JPEG file has too many scans for its size")
    return image


def load(opened: ImageFile.ImageFile, image: bytes) -> None:
    """Load the pixels. Raises `RefusedError` if some are missing, OSError if they cannot be read."""
    frame, scans, ended = _scans(image)
    opened.load_prepare()
    ((codec, extents, start, arguments),) = opened.tile
    decoder = Image._getdecoder(opened.mode, codec, arguments, opened.decoderconfig)  # noqa: SLF001 - as Pillow's own `load`
    try:
        decoder.setimage(opened.im, extents)
        if frame is None or not scans or frame.marker not in _HUFFMAN:
            consumed, error = decoder.decode(image[start:])  # those decoders cannot wait
        elif _holds_all(frame, scans[0]):
            end = _end(image, frame, scans[0])
            _check_hole(image, scans[0].begin, end)
            consumed, error = decoder.decode(image[start:end] + _ONES * 8)
        else:
            _check_scans(frame, scans, ended)
            if not ended and image.endswith(_ZEROS):
                raise RefusedError(holes.HOLE)
            rest = b""
            for scan in scans:
                rest = _fed(decoder.decode, rest + image[start : _end(image, frame, scan)] + _ONES * 8)
                for _ in range(3):  # a marker reader skips these; a pixel reader waits for a 17th bit
                    rest = _fed(decoder.decode, rest + _ONES)
                    if rest:
                        raise RefusedError(_CUT_SHORT)
                start = scan.end
            consumed, error = decoder.decode(_END)
    finally:
        decoder.cleanup()
    if error < 0:
        raise OSError("damaged")
    if consumed >= 0:
        raise RefusedError(_CUT_SHORT)
    opened.tile = []


def _fed(decode: Callable[[bytes], tuple[int, int]], data: bytes) -> bytes:
    """The data that the decoder did not consume."""
    consumed, error = decode(data)
    if error < 0:
        raise OSError("damaged")
    return data[max(0, consumed) :]


def _segments(image: bytes) -> Iterator[Segment]:
    """Yield segments up to the end of the picture or file."""
    at = 2
    while found := _MARKER.search(image, at):
        begin = found.end() + 2
        at = max(begin, found.end() + int.from_bytes(image[found.end() : begin]))
        yield Segment(image[found.end() - 1], begin, at)
        if image[found.end() - 1] == _END_OF_IMAGE:
            break


def _frame(image: bytes, segment: Segment) -> Frame | None:
    header = image[segment.begin : segment.end]
    if len(header) < 6:
        return None
    sampling = {
        component: (factors >> 4, factors & 15) for component, factors in zip(header[6::3], header[7::3], strict=False)
    }
    return Frame(segment.marker, int.from_bytes(header[3:5]), int.from_bytes(header[1:3]), sampling)


def _scan(image: bytes, segment: Segment, interval: int) -> Scan:
    """Parse a scan's parameters; its end is not known yet."""
    count = image[segment.begin] if segment.begin < len(image) else 0
    components = image[segment.begin + 1 : segment.begin + 1 + 2 * count : 2]
    first, last, precision = (*image[segment.begin + 1 + 2 * count : segment.end], 0, 0, 0)[:3]
    return Scan(frozenset(components), first, last, precision & 15, interval, segment.end, len(image))


def _scans(image: bytes) -> tuple[Frame | None, list[Scan], bool]:
    """Parse the frame, its scans, and whether there is an end marker. Stops after a scan that holds everything."""
    frame: Frame | None = None
    interval, scans, inside = 0, list[Scan](), False
    for segment in _segments(image):
        if inside:
            scans[-1] = scans[-1]._replace(end=segment.begin - 4)
            inside = False
        if segment.marker == _END_OF_IMAGE:
            return frame, scans, True
        if segment.marker in _FRAMES:
            frame = _frame(image, segment)
        elif segment.marker == _RESTART_INTERVAL:
            interval = int.from_bytes(image[segment.begin : segment.begin + 2])
        elif segment.marker == _START_OF_SCAN:
            scans.append(_scan(image, segment, interval))
            inside = True
            if frame and _holds_all(frame, scans[0]):
                break
    return frame, scans, False


def _holds_all(frame: Frame, scan: Scan) -> bool:
    """Whether the scan holds all components completely, as in most photographs."""
    return frame.marker not in _PROGRESSIVE and scan.components >= frame.sampling.keys()


def _has_more_scans(image: bytes, most: int) -> bool:
    frame: Frame | None = None
    scans = 0
    for number, segment in enumerate(_segments(image)):
        if number >= MOST_SEGMENTS:
            return True
        if segment.marker in _FRAMES:
            frame = _frame(image, segment)
        elif segment.marker == _START_OF_SCAN:
            scans += 1
            if frame and _holds_all(frame, _scan(image, segment, 0)):
                return False
            if scans > most:
                return True
    return False


def frame(image: bytes) -> tuple[int, int] | None:
    """Read (width, height) in pixels; `None` if it is not a JPEG file, or a lossless one."""
    for segment in islice(_segments(image), MOST_SEGMENTS // 16):
        if segment.marker in _FRAMES and (found := _frame(image, segment)):
            size = found.width, found.height
            return size if segment.marker not in _LOSSLESS and all(size) else None
    return None


def _end(image: bytes, frame: Frame, scan: Scan) -> int:
    """Find the end of a scan's pixels; an extra restart ends them. Raises `RefusedError` if a restart is missing."""
    factors = frame.sampling.values()
    if not all(across and down for across, down in factors):
        raise OSError("damaged")
    # A unit holds one or more blocks of each component, or one block if the scan has a single component (A.2).
    across, down = 8 * max(factor for factor, _ in factors), 8 * max(factor for _, factor in factors)
    if len(scan.components) == 1:
        own = frame.sampling.get(min(scan.components), (1, 1))
        across, down = across // own[0], down // own[1]
    units = -(-frame.width // across) * -(-frame.height // down)
    expected = -(-units // scan.interval) - 1 if scan.interval else 0
    number = -1
    for number, found in enumerate(_STOP.finditer(image, scan.begin)):
        if number >= expected:
            return found.start()
        if found[0][1] != 0xD0 | number & 7:
            break
    else:
        if number + 1 >= expected:
            return len(image)
    raise RefusedError(_CUT_SHORT)


def _check_hole(image: bytes, begin: int, end: int) -> None:
    """Raise `RefusedError` if the only scan has a hole, or the file ends in zeros: zeros are valid codes.

    Many zeros are legitimate only on an empty page whose tables give the code 0 to "end of block" (K.3 has others).
    """
    if end == len(image) and image.endswith(_ZEROS):
        raise RefusedError(holes.HOLE)
    if not holes.has(image, begin, end):
        return
    for segment in _segments(image):
        if segment.marker == _START_OF_SCAN:
            break
        at = segment.begin
        while segment.marker == _TABLES and at + 17 < min(segment.end, len(image)):
            if image[at] >> 4 and image[at + 17]:  # one for coefficients
                raise RefusedError(holes.HOLE)
            at += 17 + sum(image[at + 1 : at + 17])


def _check_scans(frame: Frame, scans: list[Scan], ended: bool) -> None:
    """Raise `RefusedError` if scans are missing: all of a component's, or, in a file without end marker, some."""
    missing = {component: set(range(64)) for component in frame.sampling}
    averages = set[int]()
    for scan in scans:
        first, last, bits = (scan.first, scan.last, scan.bits) if frame.marker in _PROGRESSIVE else (0, 63, 0)
        for component in scan.components & frame.sampling.keys():
            if not bits:
                missing[component] -= set(range(first, last + 1))
            if first == 0:
                averages.add(component)
    if len(averages) < len(frame.sampling) or (not ended and any(missing.values())):
        raise RefusedError(_CUT_SHORT)
