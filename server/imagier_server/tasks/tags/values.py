# SPDX-License-Identifier: Apache-2.0
"""Options and results of the tags task and of keyword matching."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from imagier_server.tasks.embedding.values import Candidate, FoundCandidate, TaughtScore


@dataclass(frozen=True, slots=True)
class TagsOptions:
    """Options of the tags task; `None` means the server's default."""

    max_tags: int | None = None
    min_score: float | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    existing_tags: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    taught: tuple[bytes, ...] = ()

    @property
    def characters(self) -> int:
        """Total characters in the lists."""
        words = (*self.allow, *self.deny, *self.existing_tags)
        return sum(map(len, (*words, *self.taught))) + sum(candidate.characters for candidate in self.candidates)


@dataclass(frozen=True, slots=True)
class TagParent:
    """A parent of a tag."""

    id: str
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag; `names` by language, `parents` nearest first."""

    id: str
    names: Mapping[str, str]
    score: float
    parents: tuple[TagParent, ...] = ()


@dataclass(frozen=True, slots=True)
class Tags:
    """Result of the tags task, best first."""

    tags: tuple[Tag, ...]
    unknown_languages: tuple[str, ...] = ()
    candidates: tuple[FoundCandidate, ...] = ()
    taught: tuple[TaughtScore, ...] = ()


class MatchKind(Enum):
    """How a keyword matched a tag, from the strictest to the loosest."""

    ID = auto()
    NAME = auto()
    VARIANT = auto()
    SYNONYM = auto()


@dataclass(frozen=True, slots=True)
class KeywordMeaning:
    """A tag that a keyword matches."""

    id: str
    names: Mapping[str, str]
    kind: MatchKind
    parents: tuple[TagParent, ...] = ()


@dataclass(frozen=True, slots=True)
class KeywordMatch:
    """A keyword and its tags: none, one, or several if it is ambiguous."""

    keyword: str
    meanings: tuple[KeywordMeaning, ...]


@dataclass(frozen=True, slots=True)
class KeywordMatches:
    """Matches of a library's keywords, in their order."""

    matches: tuple[KeywordMatch, ...]
    unknown_languages: tuple[str, ...] = ()
