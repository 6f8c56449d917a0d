# SPDX-License-Identifier: Apache-2.0
"""The tags task: scores classes, gathers them into parents, and returns few tags that do not repeat existing ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from imagier_server.errors import InternalError
from imagier_server.messages import Picture, Tensors
from imagier_server.tasks.options import Option, check
from imagier_server.tasks.tags.calibration import Calibration
from imagier_server.tasks.tags.keywords import Keywords
from imagier_server.tasks.tags.plain_page import is_plain_page
from imagier_server.tasks.tags.values import Tag, Tags, TagsOptions
from imagier_server.tasks.tags.vocabulary import Vocabulary
from imagier_server.tasks.task import LimitInfo, Steps
from imagier_server.timings import Stage

MODEL: Final = "tagger"
SIDE: Final = 260
"""Side of the model's input in pixels."""
SHORTER_SIDE: Final = 297
"""Shorter side to which the picture is scaled before the centre crop, as in the weights' own preprocessing."""
MAX_CROPS: Final = 6
"""Maximum crops, for panoramas at least seven times as long as wide."""
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
    default_max_tags: int = 8

    @classmethod
    def load(cls, repository: Path) -> TagsTask:
        """Load the labels from a model repository."""
        keywords = Keywords.of_repository(repository)
        return cls(keywords.vocabulary, keywords, Calibration.load(repository / MODEL / "assets"))

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
        )

    def check(self, options: TagsOptions) -> None:
        """Raises `InvalidRequestError`."""
        check(self.name, self.options, options)
        for name in LISTS:
            self.keywords.check(getattr(options, name), f"{self.name}.{name}", MAX_LIST)

    def scale(self, width: int, height: int) -> float:
        """The scale at which the shorter side is as the model's preprocessing needs it."""
        return min(1.0, SHORTER_SIDE / min(width, height))

    async def run(self, picture: Picture, options: TagsOptions, languages: tuple[str, ...], steps: Steps) -> Tags:
        """One inference of one row, or of several for a panorama."""
        inputs = await steps.compute(Stage.PREPARE, prepare, picture)
        outputs = await steps.infer(MODEL, inputs)
        return await steps.compute(Stage.FINISH, self.finish, outputs, options, languages, inputs["pixels"])

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


def prepare(picture: Picture) -> Tensors:
    """Cut `pixels` (crops, SIDE, SIDE, 3) from the picture, scaled to SHORTER_SIDE.

    The centre, or several crops from end to end of a panorama. Scales only if the decoded picture has another size.
    """
    height, width = picture.pixels.shape[:2]
    factor = SHORTER_SIDE / min(height, width)
    scaled_width, scaled_height = round(width * factor), round(height * factor)
    ready = (scaled_width, scaled_height) == (width, height)
    whole = None if ready else Image.fromarray(picture.pixels)
    across, down = width / scaled_width, height / scaled_height
    pixels = []
    for left, top in _corners(scaled_width, scaled_height, _crops(picture.width, picture.height)):
        if whole is None:
            pixels.append(picture.pixels[top : top + SIDE, left : left + SIDE])
        else:
            # Cropped before scaling: a long panorama is never scaled as a whole.
            box = (left * across, top * down, min(width, (left + SIDE) * across), min(height, (top + SIDE) * down))
            pixels.append(np.asarray(whole.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)))
    return {"pixels": np.stack(pixels)}


def _crops(width: int, height: int) -> int:
    """Number of crops: one up to twice as long as wide, two up to three times, and so on."""
    return min(MAX_CROPS, max(1, math.ceil(max(width, height) / min(width, height)) - 1))


def _corners(width: int, height: int, count: int) -> list[tuple[int, int]]:
    """(left, top) of each crop, evenly from end to end."""
    if count == 1:
        return [((width - SIDE) // 2, (height - SIDE) // 2)]
    steps = [step / (count - 1) for step in range(count)]
    if width > height:
        return [(round((width - SIDE) * step), (height - SIDE) // 2) for step in steps]
    return [((width - SIDE) // 2, round((height - SIDE) * step)) for step in steps]
