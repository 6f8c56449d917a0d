# SPDX-License-Identifier: Apache-2.0
"""Matches a library's keywords with concepts: by id, name, variant, synonym, or place in a hierarchy."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import starmap
from pathlib import Path
from typing import Final

from imagier_server.errors import InvalidRequestError
from imagier_server.tasks.languages import spoken
from imagier_server.tasks.tags.spelling import fold, stems, stems_of_name
from imagier_server.tasks.tags.values import KeywordMatch, KeywordMatches, KeywordMeaning, MatchKind
from imagier_server.tasks.tags.vocabulary import Vocabulary

MAX_KEYWORDS: Final = 5000
MAX_CHARACTERS: Final = 1000
"""Maximum characters of one keyword, its path included."""
MAX_WORD: Final = 100
"""Maximum characters of a name; longer ones match nothing."""
MAX_DEPTH: Final = 10
"""Last parts of a hierarchy that are used."""
_PARTS: Final = re.compile(r"[^|/\\>]+")

Found = Mapping[int, MatchKind]


class Keywords:
    """An immutable index of a vocabulary's names and synonyms in all their variants."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        synonyms: Mapping[str, Iterable[tuple[str, str]]] | None = None,
        simplified: Mapping[int, str] | None = None,
    ) -> None:
        """`synonyms` are (language, word) by id; `simplified` is for `str.translate`."""
        self.vocabulary = vocabulary
        self._simplified = simplified or {}
        # An alias's name or id matches the concept shown for it.
        shown = [
            parent if parent is not None and concept.alias else place
            for place, (concept, parent) in enumerate(zip(vocabulary.concepts, vocabulary.parent, strict=True))
        ]
        self._ids = {fold(concept.id): place for concept, place in zip(vocabulary.concepts, shown, strict=True)}
        # Keyed by language and word: as written, or a stem.
        self._words: dict[tuple[str, str], dict[int, MatchKind]] = {}
        self._stems: dict[tuple[str, str], dict[int, MatchKind]] = {}
        # The surest match first; a later one does not replace it.
        for place, concept in enumerate(vocabulary.concepts):
            for language, name in concept.names.items():
                if concept.alias:
                    self._add(shown[place], language, name, MatchKind.SYNONYM, MatchKind.SYNONYM)
                else:
                    self._add(place, language, name, MatchKind.NAME, MatchKind.VARIANT)
        for concept_id, words in (synonyms or {}).items():
            for language, word in words:
                self._add(vocabulary.index[concept_id], language, word, MatchKind.SYNONYM, MatchKind.SYNONYM)

    @classmethod
    def load(cls, assets: Path, vocabulary: Vocabulary) -> Keywords:
        """Read `synonyms.tsv` (id, one column per language, comma-separated words) and `traditional.tsv`."""
        synonyms = {
            row.pop("id"): [(language, word) for language, cell in row.items() for word in cell.split(", ") if word]
            for row in _rows(assets / "synonyms.tsv")
        }
        simplified = {ord(row["traditional"]): row["simplified"] for row in _rows(assets / "traditional.tsv")}
        return cls(vocabulary, synonyms, simplified)

    @staticmethod
    @cache
    def of_repository(repository: Path) -> Keywords:
        """The keywords of a model repository's tagger, shared by the tags task and by keyword matching."""
        assets = repository / "tagger" / "assets"
        return Keywords.load(assets, Vocabulary.load(assets))

    def check(self, keywords: Sequence[str], field: str, most: int = MAX_KEYWORDS) -> None:
        """Raise `InvalidRequestError` if there are too many keywords, or one is too long."""
        if len(keywords) > most:
            raise InvalidRequestError(f"{field} must have at most {most} entries", field=field)
        for place, keyword in enumerate(keywords):
            if len(keyword) > MAX_CHARACTERS:
                raise InvalidRequestError(
                    f"an entry must have at most {MAX_CHARACTERS} characters", field=f"{field}[{place}]"
                )

    def meanings(self, keyword: str, languages: Sequence[str] = ()) -> Found:
        """Return the concepts that the keyword matches, and how: none, one, or several if it is ambiguous.

        `languages` are those that it may be written in; empty means all.
        """
        *path, last = [part for part in _PARTS.findall(keyword) if part.strip()][-MAX_DEPTH:] or [""]
        written = languages or self.vocabulary.languages
        found = self._look_up(last, written)
        if len(found) > 1:
            above = {place for part in path for place in self._look_up(part, written)}
            within = {place for place in found if not above.isdisjoint(self.vocabulary.ancestors[place])}
            return {place: kind for place, kind in found.items() if place in within or not within}
        return found

    def find(self, keywords: Iterable[str]) -> frozenset[int]:
        """All concepts that the keywords match; unknown keywords are ignored."""
        return frozenset(place for keyword in keywords for place in self.meanings(keyword))

    def match(
        self, keywords: Sequence[str], languages: Sequence[str], keyword_languages: Sequence[str]
    ) -> KeywordMatches:
        """Return one match per keyword, with names in the requested languages."""
        known, unknown = self.vocabulary.spoken(languages)
        written, _ = spoken(keyword_languages, self.vocabulary.languages)

        def meaning(place: int, kind: MatchKind) -> KeywordMeaning:
            return KeywordMeaning(
                self.vocabulary.concepts[place].id,
                self.vocabulary.names(place, known),
                kind,
                self.vocabulary.parents(place, known),
            )

        matches = (
            KeywordMatch(each, tuple(starmap(meaning, self.meanings(each, written).items()))) for each in keywords
        )
        return KeywordMatches(tuple(matches), unknown)

    def _add(self, place: int, language: str, word: str, as_written: MatchKind, as_variant: MatchKind) -> None:
        folded = fold(word)
        self._words.setdefault((language, folded), {}).setdefault(place, as_written)
        for stem in stems_of_name(folded, language, self._simplified):
            self._stems.setdefault((language, stem), {}).setdefault(place, as_variant)

    def _look_up(self, word: str, languages: Sequence[str]) -> Found:
        if len(word) > MAX_WORD:
            return {}
        folded = fold(word)
        if folded in self._ids:
            return {self._ids[folded]: MatchKind.ID}
        found = [pair for language in languages for pair in self._words.get((language, folded), {}).items()]
        if not found:
            found = [
                pair
                for language in languages
                for stem in stems(folded, language, self._simplified)
                for pair in self._stems.get((language, stem), {}).items()
            ]
        surest: dict[int, MatchKind] = {}
        for place, kind in sorted(found, key=lambda pair: pair[1].value):
            surest.setdefault(place, kind)
        return surest


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
