# SPDX-License-Identifier: Apache-2.0
"""The recognisers of a server: the default one, and those of further scripts that are installed beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Final
from unicodedata import bidirectional

from imagier_server.model_lock import ModelLockError, read_lock
from imagier_server.tasks.ocr.reading import Character

RECOGNIZER: Final = "text_recognizer"
FURTHER: Final = f"{RECOGNIZER}_"
"""How the roles of further recognisers begin; the rest is the name of their script."""

SCRIPTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "arabic": "Arab",
        "cyrillic": "Cyrl",
        "devanagari": "Deva",
        "greek": "Grek",
        "korean": "Kore",
        "tamil": "Taml",
        "telugu": "Telu",
        "thai": "Thai",
    }
)
"""ISO 15924 by the names of scripts."""

_OF_LANGUAGES = {"zh-Hans": "Hans", "zh-Hant": "Hant", "ja": "Jpan"}
# Letters and digits that are read from left to right among Arabic, and what stands within or between them.
_LEFT_TO_RIGHT = {"L", "EN", "AN", "ES", "ET", "CS", "WS"}


@dataclass(frozen=True, slots=True)
class Recognizer:
    """A recogniser by its role. `charset[n]` is what its token n + 1 stands for."""

    role: str
    charset: tuple[str, ...]
    languages: tuple[str, ...] = ()

    @property
    def scripts(self) -> tuple[str, ...]:
        """Scripts (ISO 15924): of its role, or of its languages, most of which are written in Latin script."""
        if self.role.startswith(FURTHER):
            return (SCRIPTS[self.role.removeprefix(FURTHER)],)
        return tuple(dict.fromkeys(_OF_LANGUAGES.get(language, "Latn") for language in self.languages))

    def as_read(self, characters: Sequence[Character]) -> Sequence[Character]:
        """The characters in the order of reading, given those from left to right."""
        return from_right(characters) if self.scripts == ("Arab",) else characters


def load(repository: Path) -> tuple[Recognizer, ...]:
    """The installed recognisers, the default one first; without a lock, that one alone. Raises `OSError`, `ModelLockError`."""
    installed = read_lock(repository)
    further = sorted(role for role in installed if role.startswith(FURTHER))
    if unknown := [role for role in further if role.removeprefix(FURTHER) not in SCRIPTS]:
        raise ModelLockError(
            f"{unknown[0]} is no role of this version; it knows {', '.join(map(FURTHER.__add__, SCRIPTS))}"
        )
    return tuple(
        Recognizer(role, _charset(repository, role), installed[role].languages if role in installed else ())
        for role in (RECOGNIZER, *further)
    )


def _charset(repository: Path, role: str) -> tuple[str, ...]:
    """One entry per line."""
    entries = (repository / role / "assets" / "charset.txt").read_text("utf-8").removesuffix("\n")
    return tuple(entries.split("\n"))


def from_right(characters: Sequence[Character]) -> Sequence[Character]:
    """A line of Arabic in the order of reading: from right to left, but Latin letters and numbers from left to right."""
    ordered: list[Character] = []
    for to_right, run in groupby(reversed(characters), lambda each: bidirectional(each.text[0]) in _LEFT_TO_RIGHT):
        if to_right:
            # The spaces at its ends stay at their ends.
            padded = list(run)
            inner = [place for place, each in enumerate(padded) if not each.text.isspace()]
            begin, end = (inner[0], inner[-1] + 1) if inner else (0, 0)
            ordered += [*padded[:begin], *padded[begin:end][::-1], *padded[end:]]
        else:
            ordered += run
    return ordered
