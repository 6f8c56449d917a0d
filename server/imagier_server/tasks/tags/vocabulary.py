# SPDX-License-Identifier: Apache-2.0
"""The tagger's vocabulary: WordNet ids, names by language, and parents."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from imagier_server.tasks.languages import primary
from imagier_server.tasks.tags.values import TagParent

FALLBACK_LANGUAGE: Final = "en"


@dataclass(frozen=True, slots=True)
class Concept:
    """A concept with a stable id; `parent` is its parent's id, or empty.

    Its children are alternatives (breeds of dog), unless they often occur `together` (furniture). An `alias` duplicates its parent
    (notebook computer, laptop) and is never shown.
    """

    id: str
    names: Mapping[str, str]
    parent: str
    together: bool = False
    alias: bool = False


class Vocabulary:
    """The tagger's classes in the order of its outputs, and their parents; immutable.

    Columns of `classes.tsv` and `parents.tsv`: id, one per language, parent, and flags ("yes"): alias, together.
    """

    def __init__(self, classes: Iterable[Concept], parents: Iterable[Concept]) -> None:
        own = tuple(classes)
        self.concepts: tuple[Concept, ...] = (*own, *parents)
        """All concepts: classes first, in the order of the model's outputs."""
        self.languages = tuple(own[0].names)
        self.index = {concept.id: place for place, concept in enumerate(self.concepts)}
        if len(self.index) != len(self.concepts):
            raise ValueError("an id stands twice in the vocabulary")
        self.parent = tuple(self.index[concept.parent] if concept.parent else None for concept in self.concepts)
        self.ancestors = tuple(self._ancestors(place) for place in range(len(self.concepts)))
        children: list[list[int]] = [[] for _ in self.concepts]
        for place, parent in enumerate(self.parent):
            if parent is not None:
                children[parent].append(place)
        self.children = tuple(map(tuple, children))
        self.aliases = frozenset(place for place, concept in enumerate(self.concepts) if concept.alias)
        self.roots = tuple(place for place, parent in enumerate(self.parent) if parent is None)
        self.classes = len(own)
        """Number of classes, which are the first concepts."""
        # Which concept gathers which class: itself and its descendants.
        pairs = [(gatherer, place) for place in range(len(own)) for gatherer in (place, *self.ancestors[place])]
        self._gatherers, self._gathered = np.array(pairs).T

    @classmethod
    def load(cls, assets: Path) -> Vocabulary:
        """Read `classes.tsv` and `parents.tsv`."""
        return cls(_read(assets / "classes.tsv"), _read(assets / "parents.tsv"))

    def gather(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Turn class probabilities into scores of all concepts: the sum over descendants, at most 1."""
        # Not a matrix product: BLAS's idle threads would spin on the cores that the models need.
        sums = np.bincount(self._gatherers, probabilities[self._gathered], minlength=len(self.concepts))
        return np.minimum(sums, 1)

    def spoken(self, wanted: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Split requested languages into (supported, unsupported). Regions are ignored; English is the fallback."""
        known: dict[str, None] = {}
        unknown: dict[str, None] = {}
        for language in wanted:
            if primary(language) in self.languages:
                known[primary(language)] = None
            else:
                unknown[language] = None
                known[FALLBACK_LANGUAGE] = None
        return tuple(known or {FALLBACK_LANGUAGE: None}), tuple(unknown)

    def names(self, place: int, languages: Sequence[str]) -> Mapping[str, str]:
        """The concept's names in supported languages."""
        return {language: self.concepts[place].names[language] for language in languages}

    def parents(self, place: int, languages: Sequence[str]) -> tuple[TagParent, ...]:
        """The concept's ancestors, nearest first."""
        return tuple(
            TagParent(self.concepts[above].id, self.names(above, languages)) for above in self.ancestors[place]
        )

    def with_descendants(self, places: frozenset[int]) -> frozenset[int]:
        """`places` and all their descendants."""
        if not places:
            return places
        under = (place for place, above in enumerate(self.ancestors) if not places.isdisjoint(above))
        return places.union(under)

    def _ancestors(self, place: int) -> tuple[int, ...]:
        above: list[int] = []
        parent = self.parent[place]
        while parent is not None:
            if parent in above or parent == place:
                raise ValueError("the vocabulary's parents run in a circle")
            above.append(parent)
            parent = self.parent[parent]
        return tuple(above)


def _read(path: Path) -> list[Concept]:
    with path.open(encoding="utf-8", newline="") as lines:
        return [
            Concept(
                row.pop("id"),
                parent=row.pop("parent"),
                together=row.pop("together", "") == "yes",
                alias=row.pop("alias", "") == "yes",
                names=row,
            )
            for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]
