# SPDX-License-Identifier: Apache-2.0
"""Which concepts the keywords of somebody's library mean: by id, name, variant of a name, synonym, or place in a hierarchy."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import starmap
from pathlib import Path
from typing import Final

from imagier_server.errors import InvalidRequestError
from imagier_server.messages import KeywordMatch, KeywordMatches, KeywordMeaning, MatchKind
from imagier_server.tasks.languages import spoken
from imagier_server.tasks.spelling import fold, stems, stems_of_name
from imagier_server.tasks.vocabulary import Vocabulary

MAX_KEYWORDS: Final = 5000
MAX_CHARACTERS: Final = 1000
"""Of one keyword, its path included."""
MAX_WORD: Final = 100
"""No name is as long: what is longer is not looked at."""
MAX_DEPTH: Final = 10
"""Of a hierarchy so many of the last parts are looked at."""
_PARTS: Final = re.compile(r"[^|/\\>]+")

Found = Mapping[int, MatchKind]


class Keywords:
    """A vocabulary's words and their synonyms, to be found however they are written. Read once, never changed."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        synonyms: Mapping[str, Iterable[tuple[str, str]]] | None = None,
        simplified: Mapping[int, str] | None = None,
    ) -> None:
        """`synonyms` are (language, word) by id; `simplified` is for `str.translate`."""
        self.vocabulary = vocabulary
        self._simplified = simplified or {}
        # Who asks for an alias by name or id gets what is shown for it.
        shown = [
            parent if parent is not None and concept.alias else place
            for place, (concept, parent) in enumerate(zip(vocabulary.concepts, vocabulary.parent, strict=True))
        ]
        self._ids = {fold(concept.id): place for concept, place in zip(vocabulary.concepts, shown, strict=True)}
        # Both by language and word: as written, or one of its stems.
        self._words: dict[tuple[str, str], dict[int, MatchKind]] = {}
        self._stems: dict[tuple[str, str], dict[int, MatchKind]] = {}
        # The surest first: what a word is called already is not called again.
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
        """Reads `synonyms.tsv` (id, one column for each language, words separated by commas) and `traditional.tsv`."""
        synonyms = {
            row.pop("id"): [(language, word) for language, cell in row.items() for word in cell.split(", ") if word]
            for row in _rows(assets / "synonyms.tsv")
        }
        simplified = {ord(row["traditional"]): row["simplified"] for row in _rows(assets / "traditional.tsv")}
        return cls(vocabulary, synonyms, simplified)

    def check(self, keywords: Sequence[str], field: str, most: int = MAX_KEYWORDS) -> None:
        """Raises `InvalidRequestError` if there are too many, or one is too long."""
        if len(keywords) > most:
            raise InvalidRequestError(f"{field} must have at most {most} entries", field=field)
        for place, keyword in enumerate(keywords):
            if len(keyword) > MAX_CHARACTERS:
                raise InvalidRequestError(
                    f"an entry must have at most {MAX_CHARACTERS} characters", field=f"{field}[{place}]"
                )

    def meanings(self, keyword: str, languages: Sequence[str] = ()) -> Found:
        """The concepts that the keyword stands for, and how; none, one, or several if it is ambiguous.

        `languages` are those that it may be written in, out of the vocabulary's; all if empty.
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
        """All that any of the keywords stands for; unknown ones are ignored."""
        return frozenset(place for keyword in keywords for place in self.meanings(keyword))

    def match(
        self, keywords: Sequence[str], languages: Sequence[str], keyword_languages: Sequence[str]
    ) -> KeywordMatches:
        """One for each keyword, with names in the languages asked for."""
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
