# SPDX-License-Identifier: Apache-2.0
"""Neutral values that say how people are shown a result, in a table or on a drawn picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Point(NamedTuple):
    """A place in the upright picture; the origin is the upper left corner."""

    x: float
    y: float


Polygon = tuple[Point, ...]
"""Four corners, from the one where reading begins, clockwise as read."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a section: `cells` side by side (a name in each language, "" for none), a `score` from 0 to 1, a `note` on it.

    `kind` stands before it in place of the section's. `outline` is where in the picture it was found, in fractions of the sides:
    such lines are numbered. `instead` is shown where no font has the characters of any cell.
    """

    cells: tuple[str, ...]
    score: float | None = None
    note: str = ""
    kind: str = ""
    outline: Polygon = ()
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """The lines of a result, each with `kind` before it ("tag"). `none` is shown if there are no lines.

    Where one heading stands above them all, it is `heading` ("tags"), or `kind` if that is empty.
    """

    kind: str
    lines: tuple[Line, ...] = ()
    none: str = "none"
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Keyword:
    """A word that a document's catalogue lists its picture under, and where it comes from."""

    label: str
    description: str
