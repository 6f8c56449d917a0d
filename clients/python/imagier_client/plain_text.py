# SPDX-License-Identifier: Apache-2.0
"""Text files as people's programs write them."""

from __future__ import annotations

import codecs


def decoded(content: bytes) -> str:
    """The text of a file in UTF-8, or in UTF-16 with the mark that Windows writes.

    Raises UnicodeError, whose last argument says what to do.
    """
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
        bad = text.count("\n", 0, text.index("\0")) + 1 if "\0" in text else None
    except UnicodeDecodeError as error:
        bad = content.count(b"\n", 0, error.start) + 1
    if bad is None:
        return text
    advice = "save it as UTF-8, or convert it: iconv -f LATIN1 -t UTF-8"
    raise UnicodeError(f"line {bad} is no text in {'UTF-16' if wide else 'UTF-8'}: {advice}")
