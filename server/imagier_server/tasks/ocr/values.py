# SPDX-License-Identifier: Apache-2.0
"""Options and results of the OCR task."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Effort(StrEnum):
    """How hard to look for text."""

    FAST = "fast"
    BALANCED = "balanced"
    THOROUGH = "thorough"


@dataclass(frozen=True, slots=True)
class OcrOptions:
    """Options of the OCR task; `None` means the server's default, and an effort that this server does not know."""

    min_confidence: float | None = None
    words: bool = False
    effort: Effort | None = Effort.BALANCED
    characters: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class Point:
    """A point in pixels of the upright picture."""

    x: float
    y: float


Polygon = tuple[Point, Point, Point, Point]
"""Corners, clockwise as read from where reading begins."""


@dataclass(frozen=True, slots=True)
class TextWord:
    """A word of a line."""

    text: str
    confidence: float
    polygon: Polygon


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text; `words` only on request."""

    text: str
    confidence: float
    polygon: Polygon
    words: tuple[TextWord, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """Result of the OCR task, in reading order."""

    lines: tuple[TextLine, ...]
