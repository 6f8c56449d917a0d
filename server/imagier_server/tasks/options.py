# SPDX-License-Identifier: Apache-2.0
"""An option of a task, declared once: it checks the caller's value and describes itself in the catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from imagier_server.errors import InvalidRequestError


@dataclass(frozen=True, slots=True)
class Option:
    """An option. `default` in protobuf's JSON form; bounds for a number's value or a list's length."""

    name: str
    default: str
    minimum: float | None = None
    maximum: float | None = None

    def check(self, task: str, value: object) -> None:
        """Raise `InvalidRequestError` with the field if a value or a list's length is out of bounds. `None` means unset."""
        if value is None or self.minimum is None or self.maximum is None:
            return
        measured = len(value) if isinstance(value, tuple) else value
        assert isinstance(measured, int | float)
        if not self.minimum <= measured <= self.maximum:  # nor is NaN
            what = f"{self.name} must have" if isinstance(value, tuple) else f"{self.name} must be"
            entries = " entries" if isinstance(value, tuple) else ""
            raise InvalidRequestError(
                f"{what} from {self.minimum:g} to {self.maximum:g}{entries}", field=f"{task}.{self.name}"
            )


def check(task: str, declared: Iterable[Option], options: object) -> None:
    """Check the attributes of `options` against the declared options. Raises `InvalidRequestError`."""
    for option in declared:
        option.check(task, getattr(options, option.name))
