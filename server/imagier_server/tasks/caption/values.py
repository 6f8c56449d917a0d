# SPDX-License-Identifier: Apache-2.0
"""Options and results of the caption task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class CaptionOptions:
    """Options of the caption task; `None` means the server's default."""

    max_words: int | None = None
    candidates: int | None = None
    min_score: float | None = None
    gender_neutral: bool = False
    include_guesses: bool = False
    characters: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class Caption:
    """A sentence that describes the picture; `score` 0 to 1."""

    text: str
    language: str
    score: float
    guess: bool


@dataclass(frozen=True, slots=True)
class Captions:
    """Result of the caption task, best first; `title` is the first caption shortened; omitted guesses are counted."""

    captions: tuple[Caption, ...]
    title: str = ""
    unknown_languages: tuple[str, ...] = ()
    guesses_left_out: int = 0
