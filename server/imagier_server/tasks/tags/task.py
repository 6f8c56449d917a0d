# SPDX-License-Identifier: Apache-2.0
"""The tags task: scores classes, gathers them into parents, and returns few tags that do not repeat existing ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from imagier_server.errors import InternalError
from imagier_server.messages import Picture, Tensors
from imagier_server.tasks.embedding.candidates import MAX_CANDIDATES, ScoredCandidates, check_candidates
from imagier_server.tasks.embedding.space import Space
from imagier_server.tasks.embedding.taught import MAX_TAUGHT
from imagier_server.tasks.options import Option, check
from imagier_server.tasks.tags.calibration import Calibration
from imagier_server.tasks.tags.crops import MODEL, prepare, scale
from imagier_server.tasks.tags.keywords import Keywords
from imagier_server.tasks.tags.plain_page import is_plain_page
from imagier_server.tasks.tags.values import Tag, Tags, TagsOptions
from imagier_server.tasks.tags.vocabulary import Vocabulary
from imagier_server.tasks.task import LimitInfo, Steps
from imagier_server.timings import Stage

MAX_TAGS: Final = 50
ROUNDING: Final = 0.01
"""Tolerance of a row's sum of 1: ten times the half-precision error of a thousand probabilities."""
MAX_LIST: Final = 2000
LISTS: Final = ("allow", "deny", "existing_tags")
"""Options that are lists of keywords."""


@dataclass(frozen=True, slots=True)
class TagsTask:
    """Scores every class, gathers classes into their parents, and keeps few tags."""

    name: ClassVar[str] = "tags"
    models: ClassVar[tuple[str, ...]] = (MODEL,)
    optional: ClassVar[bool] = False
    price: ClassVar[int] = 1
    objective_seconds: ClassVar[float] = 1.0
    scripts: ClassVar[tuple[str, ...]] = ()
    limits: ClassVar[tuple[LimitInfo, ...]] = ()

    vocabulary: Vocabulary
    keywords: Keywords
    calibration: Calibration
    candidates: ScoredCandidates = field(default_factory=ScoredCandidates)
    default_max_tags: int = 8

    @classmethod
    def load(cls, repository: Path) -> TagsTask:
        """Load the labels from a model repository."""
        keywords = Keywords.of_repository(repository)
        candidates = ScoredCandidates(Space.of_repository(repository))
        return cls(keywords.vocabulary, keywords, Calibration.load(repository / MODEL / "assets"), candidates)

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of the tags' names."""
        return self.vocabulary.languages

    @property
    def options(self) -> tuple[Option, ...]:
        """As the catalogue lists them."""
        return (
            Option("max_tags", str(self.default_max_tags), 1, MAX_TAGS),
            Option("min_score", str(self.calibration.min_score), 0, 1),
            *(Option(name, "[]", 0, MAX_LIST) for name in LISTS),
            Option("candidates", "[]", 0, MAX_CANDIDATES),
            Option("taught", "[]", 0, MAX_TAUGHT),
        )

    def check(self, options: TagsOptions) -> None:
        """Raises `InvalidRequestError`."""
        check(self.name, self.options, options)
        for name in LISTS:
            self.keywords.check(getattr(options, name), f"{self.name}.{name}", MAX_LIST)
        check_candidates(options.candidates, f"{self.name}.candidates")
        self.candidates.labels(options.taught, f"{self.name}.taught")

    def scale(self, width: int, height: int) -> float:
        """The scale at which the shorter side is as the model's preprocessing needs it."""
        return scale(width, height)

    async def run(self, picture: Picture, options: TagsOptions, languages: tuple[str, ...], steps: Steps) -> Tags:
        """One inference of one row, or of several for a panorama; further ones for the caller's own candidates."""
        inputs = await steps.compute(Stage.PREPARE, prepare, picture)
        outputs = await steps.infer(MODEL, inputs)
        tags = await steps.compute(Stage.FINISH, self.finish, outputs, options, languages, inputs["pixels"])
        if options.taught:
            taught = await self.candidates.taught(options.taught, picture, outputs, steps)
            tags = replace(tags, taught=taught)
        if options.candidates:
            most = options.max_tags or self.default_max_tags
            best = await self.candidates.found(options.candidates, picture, outputs, most, steps)
            tags = replace(tags, candidates=best)
        return tags

    def finish(
        self,
        outputs: Tensors,
        options: TagsOptions,
        languages: tuple[str, ...],
        pixels: npt.NDArray[Any] | None = None,
    ) -> Tags:
        """Turn probabilities `scores` (crops, classes) into tags. A concept has its best crop's score.

        Crops in `pixels` (crops, SIDE, SIDE, 3) that are plain pages are ignored. Raises `InternalError` for rows that are not
        probabilities, such as zeros of a softmax that underflowed.
        """
        rows = outputs["scores"].astype(np.float64)
        if not ((rows >= 0).all() and (abs(rows.sum(-1) - 1) <= ROUNDING).all()):
            raise InternalError
        known, unknown = self.vocabulary.spoken(languages)
        if pixels is not None:
            rows = np.array([row for row, crop in zip(rows, pixels, strict=False) if not is_plain_page(crop)])
        if not len(rows):
            return Tags((), unknown)
        probabilities = self.calibration.sharpen(rows)
        crops = np.stack([self.vocabulary.gather(row) for row in probabilities])
        scores = crops.max(axis=0)
        return Tags(
            tuple(self._tag(place, float(scores[place]), known) for place in self._choose(crops, options)), unknown
        )

    def _choose(self, crops: npt.NDArray[np.float64], options: TagsOptions) -> list[int]:
        """Choose the most specific concepts above the threshold, each with one parent, best first, from scores (crops, concepts).

        A concept in the caller's allow list is kept even if a more specific one is.
        """
        vocabulary = self.vocabulary
        scores = crops.max(axis=0)
        threshold = self.calibration.min_score if options.min_score is None else options.min_score
        allowed = self.keywords.find(options.allow)
        denied = vocabulary.with_descendants(self.keywords.find(options.deny))
        eligible = {int(place) for place in np.flatnonzero(scores >= threshold)} - denied - vocabulary.aliases
        if options.allow:
            eligible &= vocabulary.with_descendants(allowed)
        # Alternatives compete within a crop, because another crop shows another object.
        trees = [_Tree(vocabulary, self.calibration, crop, threshold, frozenset(eligible)) for crop in crops]
        chosen = {place for tree in trees for root in vocabulary.roots for place in tree.most_specific(root)}
        # A crop's parent may have a clear child in another crop.
        chosen -= {above for place in chosen for above in vocabulary.ancestors[place]}
        for place in tuple(chosen):
            above = vocabulary.ancestors[place]
            chosen |= eligible.intersection(above[:1]) | eligible.intersection(allowed.intersection(above))
        ranked = sorted(chosen, key=lambda place: (-scores[place], len(vocabulary.ancestors[place]), place))
        existing = self.keywords.find(options.existing_tags)
        limit = self.default_max_tags if options.max_tags is None else options.max_tags
        return [place for place in ranked if place not in existing][:limit]

    def _tag(self, place: int, score: float, languages: tuple[str, ...]) -> Tag:
        vocabulary = self.vocabulary
        names, parents = vocabulary.names(place, languages), vocabulary.parents(place, languages)
        return Tag(vocabulary.concepts[place].id, names, score, parents)


@dataclass(frozen=True, slots=True)
class _Tree:
    """The concepts of one crop with their scores, restricted to `eligible` ones."""

    vocabulary: Vocabulary
    calibration: Calibration
    scores: npt.NDArray[np.float64]
    threshold: float
    eligible: frozenset[int]

    def most_specific(self, place: int) -> list[int]:
        """The most specific concepts above the threshold in a subtree; at most one of alternatives."""
        if self.scores[place] < self.threshold:
            return []  # and so have all its descendants
        vocabulary = self.vocabulary
        below = [(child, found) for child in vocabulary.children[place] if (found := self.most_specific(child))]
        own = [place] if place in self.eligible else []
        if not below:
            # A parent without a child above the threshold needs a higher score.
            spread = place >= vocabulary.classes
            enough = self.threshold + self.calibration.gathered * (1 - self.threshold)
            return [] if spread and self.scores[place] < enough else own
        if vocabulary.concepts[place].together:
            return [each for _, found in below for each in found]
        best, found = max(below, key=lambda pair: self.scores[pair[0]])
        clear = self.scores[best] >= self.calibration.clear * self.scores[place]
        return found if clear or not own else own
