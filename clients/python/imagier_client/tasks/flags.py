# SPDX-License-Identifier: Apache-2.0
"""How a task's options are set on the command line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flag:
    """An option of `imagier annotate` that sets `field` of a task's options: `name`, by default --TASK-FIELD.

    The bounds are of its number. `default` is what people read of its absence.
    """

    field: str
    help: str
    name: str = ""
    minimum: float | None = None
    maximum: float | None = None
    default: str = ""
