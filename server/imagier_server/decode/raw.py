# SPDX-License-Identifier: Apache-2.0
"""TIFF-based camera raw files: DNG, NEF, CR2, ARW, PEF… The sensor data is not developed; a preview is read.

Source: Adobe's DNG specification 1.7; for the others, sample files.
"""

from __future__ import annotations

from imagier_server.decode.formats import Format
from imagier_server.decode.jpeg import frame
from imagier_server.decode.refusals import RefusedError
from imagier_server.decode.tiff_directories import Directory, TiffFile

_WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC, _MAKE, _STRIPS, _ORIENTATION, _STRIP_LENGTHS = (
    256,
    257,
    259,
    262,
    271,
    273,
    274,
    279,
)
_JPEG, _JPEG_LENGTH, _JPEG_TABLES, _DNG_VERSION = 513, 514, 347, 50706
_SENSORS = frozenset({32803, 34892})  # a colour filter array; LinearRaw
_SENSOR_COMPRESSIONS = frozenset({32767, 32769, 32770, 34713, 34892, 65000, 65535})
_JPEGS = frozenset({6, 7})
_READABLE = frozenset({0, 1, 2, 6})
_MAKES = {b"NIKON": "NEF", b"SONY": "ARW", b"PENTAX": "PEF", b"RICOH": "PEF", b"SAMSUNG": "SRW", b"Canon": "CR2"}
_ENOUGH = 1024
"""Minimum longer side of a preview in pixels, or half of the sensor's if that is smaller."""


def name(first: Directory) -> str | None:
    """The kind of raw file with this first directory; `None` if it is not one."""
    if _DNG_VERSION in first:
        return "DNG"
    if first.file.image[8:10] == b"CR":
        return "CR2"
    if any(_is_sensor(each) for each in (first, *first.children())):
        make = first.text(_MAKE)
        return next((kind for begin, kind in _MAKES.items() if make.startswith(begin)), "camera's")
    return None


def preview(file: TiffFile, first: Directory, kind: str) -> tuple[bytes, Format, int]:
    """Return the largest preview: its file, its format, and the orientation if it has none itself.

    Raises `RefusedError` if none is large enough.
    """
    longest, best, most = 0, None, 0
    for directory in file.tree():
        width, height = directory.number(_WIDTH), directory.number(_HEIGHT)
        if _is_sensor(directory):
            longest = max(longest, width, height)
        found: bytes | Directory | None = jpeg_in(directory)
        if isinstance(found, bytes) and (of := frame(found)):
            width, height = of
        elif not _is_sensor(directory) and directory.number(_PHOTOMETRIC) in _READABLE and _STRIPS in directory:
            found = directory
        if found and width * height > most and max(width, height) >= min(_ENOUGH, longest // 2 or _ENOUGH):
            best, most = found, width * height
    turned = first.number(_ORIENTATION, 1)
    if isinstance(best, bytes):
        return best, Format.JPEG, turned
    if best is None:
        raise RefusedError(
            f"a {kind} raw file is read from its preview, and this one has no usable preview: export it as JPEG"
        )
    changes = {} if _ORIENTATION in best else {_ORIENTATION: [turned]}
    return file.rewritten(best, changes), Format.TIFF, 1


def jpeg_in(directory: Directory) -> bytes | None:
    """The complete JPEG in a directory, unless it is lossless, as sensor data is."""
    places = [(directory.number(_JPEG), directory.number(_JPEG_LENGTH))]
    one = directory.count(_STRIPS) == 1 and _JPEG_TABLES not in directory
    if one and directory.number(_COMPRESSION) in _JPEGS and not _is_sensor(directory):
        places.append((directory.number(_STRIPS), directory.number(_STRIP_LENGTHS)))
    for at, length in places:
        found = directory.file.image[at : at + length] if at else b""
        if found.startswith(b"\xff\xd8\xff") and frame(found):
            return found
    return None


def _is_sensor(directory: Directory) -> bool:
    return directory.number(_PHOTOMETRIC) in _SENSORS or directory.number(_COMPRESSION) in _SENSOR_COMPRESSIONS
