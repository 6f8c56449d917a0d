# SPDX-License-Identifier: Apache-2.0
"""Checks of a caller's arguments, before anything is sent. Each raises InvalidRequestError with the argument's name."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from imagier_client.errors import InvalidRequestError

_FOREVER = 366 * 86_400.0
"""Seconds; gRPC's own clock overflows not far beyond, and nobody waits so long."""


def seconds(value: float | None, field: str = "timeout") -> float | None:
    """Returns a time in seconds, above 0; `None` for infinity, which is no limit."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise InvalidRequestError("a number of seconds above 0 is needed, or None", field=field)
    return float(value) if value < _FOREVER else None


def positive(value: int, field: str) -> int:
    """Returns a whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidRequestError("a whole number from 1 is needed", field=field)
    return value


def strings(values: Iterable[str], field: str) -> tuple[str, ...]:
    """Returns several strings. Refuses a single one, which would be taken apart into letters."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InvalidRequestError(f"several strings are needed, such as a list, not {_type(values)}", field=field)
    return tuple(values)


def pair(item: Any) -> tuple[Any, Any]:
    """Returns a key and a picture."""
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise InvalidRequestError("each picture comes as a pair: a key and the picture", field="images")
    return item[0], item[1]


def iterable(images: Any, *kinds: type) -> None:
    """Refuses what is not an iterable of these kinds, or is a single picture."""
    if isinstance(images, str | bytes | bytearray | memoryview) or not isinstance(images, kinds):
        raise InvalidRequestError(f"pairs of a key and a picture are needed, not {_type(images)}", field="images")


def no_picture(image: object) -> InvalidRequestError:
    """Makes the error for a value that is not a picture."""
    return InvalidRequestError(
        f"a picture is the bytes of its file, or where the file is (a Path), not {_type(image)}", field="image"
    )


def finite(value: float, field: str) -> float:
    """Returns a finite number from 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise InvalidRequestError("a number from 0 is needed", field=field)
    return value


def _type(value: object) -> str:
    return f"a value of type {type(value).__name__}"
