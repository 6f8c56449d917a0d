# SPDX-License-Identifier: Apache-2.0
"""What would crash the HEIF reader: pi-heif 1.4 makes strings of what a file's items call themselves, and looks at none of them."""

from __future__ import annotations

import re
from codecs import utf_8_decode

# ISO/IEC 14496-12, 8.11.6: version, flags, number and protection; then the type and further names up to the box's end.
_ITEM = re.compile(rb"infe(?=(\x02.{7}|\x03.{9}))", re.DOTALL)
_LONGEST = 1024


def has_unnamable_items(image: bytes) -> bool:
    """Whether the type or a name of an item in `image` is no UTF-8."""
    for found in _ITEM.finditer(image):
        begin = max(found.start() - 4, 0)
        end = begin + int.from_bytes(image[begin : found.start()])
        try:
            utf_8_decode(image[found.end(1) : min(end, found.end(1) + _LONGEST)], "strict", False)
        except UnicodeDecodeError:
            return True
    return False
