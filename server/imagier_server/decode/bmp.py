# SPDX-License-Identifier: Apache-2.0
"""Checks BMP files: Pillow decodes their run lengths in Python."""

from __future__ import annotations

from imagier_server.decode.refusals import Caps, RefusedError, TooLargeError

_OS2 = 12
"""The length of the oldest header, which knows no compression."""
_RUN_LENGTHS, _FOREIGN = {1, 2}, {4: "JPEG", 5: "PNG"}
MOST_RUN_LENGTH_PIXELS = 16_000_000
MOST_RUN_LENGTH_BYTES = 8 << 20


def judge(image: bytes, caps: Caps) -> bytes:
    """The file that Pillow is to open. Raises `RefusedError`."""
    header = int.from_bytes(image[14:18], "little")
    compression = int.from_bytes(image[30:34], "little") if header > _OS2 else 0
    if compression in _FOREIGN:
        raise RefusedError(f"a BMP file that holds a {_FOREIGN[compression]} picture is not read: send that picture")
    if compression in _RUN_LENGTHS:
        width, height = (abs(int.from_bytes(image[at : at + 4], "little", signed=True)) for at in (18, 22))
        caps.check(width, height)
        if width * height > MOST_RUN_LENGTH_PIXELS or len(image) > MOST_RUN_LENGTH_BYTES:
            raise TooLargeError(f"a run-length encoded BMP file may have {MOST_RUN_LENGTH_PIXELS} pixels and 8 MiB")
    return image
