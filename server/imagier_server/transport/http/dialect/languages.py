# SPDX-License-Identifier: Apache-2.0
"""Reads Accept-Language: a preference, never a demand."""

from __future__ import annotations

from contextlib import suppress

from imagier_server.tasks.languages import MAX_LANGUAGE, primary

_MOST = 8
_LONGEST = 1024
"""Characters of the header that are read."""


def preferred(header: str) -> tuple[str, ...]:
    """The languages of an Accept-Language header, best first, without regions; none for `*`, which Node.js sends."""
    weighted: dict[str, float] = {}
    for part in header[:_LONGEST].split(",")[: 2 * _MOST]:
        language, _, parameter = part.partition(";")
        weight = 1.0
        with suppress(ValueError):
            weight = float(parameter.strip().removeprefix("q="))
        name = primary(language.strip())
        if name.isalpha() and name.isascii() and len(name) < MAX_LANGUAGE and weight > 0:
            weighted.setdefault(name, weight)
    return tuple(sorted(weighted, key=lambda name: -weighted[name]))[:_MOST]
