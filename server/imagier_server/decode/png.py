# SPDX-License-Identifier: Apache-2.0
"""Checks PNG chunks as browsers do: those with pixels must have correct checksums, all others may be damaged."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image

from imagier_server.decode.refusals import Caps, RefusedError, TooLargeError

_SIGNATURE = 8
MOST_CHUNKS = 1 << 16
"""Encoders write about one per 8 KiB of pixels."""
# Ancillary chunks (PNG, third edition; lower-case names) that change the pixels shown, and their sizes in bytes.
_SHOWN = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4, b"mDCV": 24, b"cLLI": 8}
_TRANSPARENCY = {0: 2, 2: 6, 3: 1}
"""Minimum bytes, by colour type."""
_MOST_UNPACKED = 1 << 20
_RAW_EXIF, _XMP = b"Raw profile type exif\0", b"XML:com.adobe.xmp\0"


class Chunk(NamedTuple):
    """A chunk: name, begin and end in the file, and whether it is complete with a correct checksum."""

    kind: bytes
    begin: int
    end: int
    sound: bool


def judge(image: bytes, caps: Caps) -> bytes:
    """Return the file for Pillow: only chunks that affect pixels, metadata first. Raises `RefusedError`."""
    del caps
    file = memoryview(image)
    head, pixels = [file[:_SIGNATURE]], list[memoryview]()
    seen = set[bytes]()  # the first of each kind counts
    for count, (kind, begin, end, sound) in enumerate(_chunks(image)):
        if count >= MOST_CHUNKS:
            raise TooLargeError(f"the PNG file has more than {MOST_CHUNKS} chunks")
        if kind == b"CgBI":
            raise RefusedError("a PNG file made for iOS applications is not read: convert it to a plain PNG file")
        critical = kind[:1].isupper()
        if critical and not sound and end <= len(image) and kind != b"IEND":
            raise RefusedError("the PNG file is damaged: a checksum of its pixels is wrong")
        if critical:
            (pixels if kind == b"IDAT" or pixels else head).append(file[begin:end])
        # The colour type is the file's 26th byte, where it is one.
        elif sound and kind not in seen and _matters(kind, file[begin + 8 : end - 4], image[25:26]):
            seen.add(kind)
            head.append(file[begin:end])
    return b"".join(head + pixels)


def _chunks(image: bytes) -> Iterator[Chunk]:
    """Yield chunks up to the end chunk or the first malformed one."""
    begin, kind = _SIGNATURE, b""
    while begin + 8 <= len(image) and kind != b"IEND":
        size, kind = int.from_bytes(image[begin : begin + 4]), image[begin + 4 : begin + 8]
        end = begin + 12 + size
        whole = end <= len(image)
        sound = whole and zlib.crc32(memoryview(image)[begin + 4 : end - 4]) == int.from_bytes(image[end - 4 : end])
        yield Chunk(kind, begin, end, sound)
        begin = end


def _matters(kind: bytes, data: memoryview, colour: bytes) -> bool:
    """Whether an ancillary chunk affects the first frame's pixels and Pillow reads it."""
    if kind in _SHOWN:
        return len(data) == _SHOWN[kind]
    if kind == b"tRNS":
        return len(data) >= _TRANSPARENCY.get(colour[0], len(data) + 1)
    if kind == b"iCCP":
        name, _, packed = bytes(data).partition(b"\0")
        return bool(name) and _unpacks(packed)
    start = bytes(data[:40])
    # Where programs write an orientation, rightly or not.
    if kind == b"zTXt" and start.startswith(_RAW_EXIF):
        return _unpacks(bytes(data[len(_RAW_EXIF) :]))
    if kind == b"iTXt" and start.startswith(_XMP):
        return len(data) <= _MOST_UNPACKED and start[len(_XMP) : len(_XMP) + 1] == b"\0"  # not packed
    return kind == b"eXIf" or (kind == b"tEXt" and start.startswith(_RAW_EXIF))


def _unpacks(method_and_data: bytes) -> bool:
    """Whether the data is zlib-compressed, and not to more than a profile or metadata needs."""
    if method_and_data[:1] != b"\0":
        return False
    unpacking = zlib.decompressobj()
    try:
        unpacking.decompress(method_and_data[1:], _MOST_UNPACKED)
    except zlib.error:
        return False
    return not unpacking.unconsumed_tail


def check_rows(image: bytes, opened: Image.Image) -> None:
    """Raise `RefusedError` if the file has fewer rows of pixels than its header states: Pillow leaves the others zero."""
    interlaced = image[28] != 0
    last = opened.height - 1 - (interlaced and opened.height % 2)
    if last >= 0 and any(opened.crop((0, last, opened.width, last + 1)).tobytes()):
        return  # the common case; the rest decompresses the file a second time
    channels, depth = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[image[25]], image[24]
    expected = sum(
        high * (1 + -(-wide * channels * depth // 8)) for wide, high in _passes(*opened.size, interlaced) if wide
    )
    unpacking = zlib.decompressobj()
    for kind, begin, end, _ in _chunks(image):
        packed = image[begin + 8 : end - 4] if kind == b"IDAT" else b""
        while packed and expected > 0:
            expected -= len(unpacking.decompress(packed, _MOST_UNPACKED))
            packed = unpacking.unconsumed_tail
    if expected > 0:
        raise RefusedError("the PNG file is truncated: rows of pixels are missing")


def _passes(width: int, height: int, interlaced: bool) -> list[tuple[int, int]]:
    """Columns and rows of each pass over the picture (PNG, third edition, 8.1)."""
    if not interlaced:
        return [(width, height)]
    starts = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    return [(-(-(width - left) // right), -(-(height - top) // down)) for left, top, right, down in starts]
