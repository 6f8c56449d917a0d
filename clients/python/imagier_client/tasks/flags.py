# SPDX-License-Identifier: Apache-2.0
"""How a task's options are set on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Flag:
    """An option of `imagier annotate` that sets `field` of a task's options: `name`, by default --TASK-FIELD.

    The bounds are of its number. `default` is what people read of its absence.
    With `read`, the option names a file, and may be given several times: what `read` makes of the contents, together, is the
    field's tuple. It raises ValueError, whose last argument says what is wrong.
    """

    field: str
    help: str
    name: str = ""
    minimum: float | None = None
    maximum: float | None = None
    default: str = ""
    read: Callable[[bytes], Iterable[Any]] | None = None
