# SPDX-License-Identifier: Apache-2.0
"""Parses quotas of pictures, such as "500 per 4 hours"."""

from __future__ import annotations

import re

from limits import RateLimitItem, parse_many

_SHORT = {"s": "second", "sec": "second", "min": "minute", "h": "hour", "d": "day"}
_UNIT = re.compile(rf"\b({'|'.join(_SHORT)})\b|(?<=\d)({'|'.join(_SHORT)})\b", re.IGNORECASE)
_MOST = 1_000_000
"""Of pictures: each one in a window is remembered by its time."""


def parse(text: str) -> tuple[RateLimitItem, ...]:
    """The moving windows of a text: "500 per 4 hours" or "500/4h", several separated by ";".

    Raises ValueError that says what to write instead.
    """
    try:
        windows = tuple(parse_many(_UNIT.sub(lambda unit: _SHORT[unit[0].lower()], text)))
    except ValueError:
        raise ValueError(
            'write a number of pictures in a time, such as "500 per 4 hours" or "10 per second; 500 per 4 hours"'
        ) from None
    for window in windows:
        if not 1 <= window.amount <= _MOST:
            raise ValueError(f"a quota is from 1 to {_MOST} pictures")
    return windows


def checked(text: str | None) -> str | None:
    """Return `text` if it is one of quotas, or None. Raises ValueError."""
    if text is not None:
        parse(text)
    return text
