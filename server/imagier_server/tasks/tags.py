# SPDX-License-Identifier: Apache-2.0
"""Tags: what the picture shows, in the caller's languages, added to what it already carries and never repeating it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from imagier_server.errors import InternalError, InvalidRequestError
from imagier_server.messages import Picture, Tag, Tags, TagsOptions, Tensors
from imagier_server.tasks.calibration import Calibration
from imagier_server.tasks.keywords import Keywords
from imagier_server.tasks.task import LimitInfo, OptionInfo, Steps
from imagier_server.tasks.vocabulary import Vocabulary
from imagier_server.timings import Stage

MODEL: Final = "tagger"
SIDE: Final = 260
"""The model's input, in pixels."""
SHORTER_SIDE: Final = 297
"""The picture is scaled to this before the centre is cut out: the preprocessing that the weights were measured with."""
MAX_CROPS: Final = 6
"""Of a panorama seven times as long as it is wide, or longer."""
MAX_TAGS: Final = 50
ROUNDING: Final = 0.01
"""How far a row of probabilities may add up to something else than 1: ten times what half precision makes of a thousand."""
MAX_LIST: Final = 2000


@dataclass(frozen=True, slots=True)
class TagsTask:
    """Scores every class, gathers classes into their parents, and keeps few words rather than many."""

    name: ClassVar[str] = "tags"
    models: ClassVar[tuple[str, ...]] = (MODEL,)
    optional: ClassVar[bool] = False
    price: ClassVar[int] = 1
    scripts: ClassVar[tuple[str, ...]] = ()
    limits: ClassVar[tuple[LimitInfo, ...]] = ()

    vocabulary: Vocabulary
    keywords: Keywords
    calibration: Calibration
    default_max_tags: int = 8

    @classmethod
    def load(cls, repository: Path) -> TagsTask:
        """With the labels of the model repository."""
        assets = repository / MODEL / "assets"
        vocabulary = Vocabulary.load(assets)
        return cls(vocabulary, Keywords.load(assets, vocabulary), Calibration.load(assets))

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages that tags have names in."""
        return self.vocabulary.languages

    @property
    def options(self) -> tuple[OptionInfo, ...]:
        """As the catalogue lists them."""
        lists = (OptionInfo(name, "[]", 0, MAX_LIST) for name in ("allow", "deny", "existing_tags"))
        return (
            OptionInfo("max_tags", str(self.default_max_tags), 1, MAX_TAGS),
            OptionInfo("min_score", str(self.calibration.min_score), 0, 1),
            *lists,
        )

    def check(self, options: TagsOptions) -> None:
        """Raises `InvalidRequestError`."""
        if options.max_tags is not None and not 1 <= options.max_tags <= MAX_TAGS:
            raise InvalidRequestError(f"max_tags must be from 1 to {MAX_TAGS}", field="tags.max_tags")
        if options.min_score is not None and not (math.isfinite(options.min_score) and 0 <= options.min_score <= 1):
            raise InvalidRequestError("min_score must be from 0 to 1", field="tags.min_score")
        for field in ("allow", "deny", "existing_tags"):
            self.keywords.check(getattr(options, field), f"tags.{field}", MAX_LIST)

    def scale(self, width: int, height: int) -> float:
        """The shorter side as the model's preprocessing wants it."""
        return min(1.0, SHORTER_SIDE / min(width, height))

    async def run(self, picture: Picture, options: TagsOptions, languages: tuple[str, ...], steps: Steps) -> Tags:
        """One inference of one row, or of several for a panorama."""
        inputs = await steps.compute(Stage.PREPARE, prepare, picture)
        outputs = await steps.infer(MODEL, inputs)
        return await steps.compute(Stage.FINISH, self.finish, outputs, options, languages)

    def finish(self, outputs: Tensors, options: TagsOptions, languages: tuple[str, ...]) -> Tags:
        """Probabilities `scores` (crops, classes) → tags. A concept has its best crop's score.

        Raises `InternalError` for rows that are none: zeros, say, of a softmax that underflowed.
        """
        rows = outputs["scores"].astype(np.float64)
        if not ((rows >= 0).all() and (abs(rows.sum(-1) - 1) <= ROUNDING).all()):
            raise InternalError
        probabilities = self.calibration.sharpen(rows)
        crops = np.stack([self.vocabulary.gather(row) for row in probabilities])
        scores = crops.max(axis=0)
        known, unknown = self.vocabulary.spoken(languages)
        return Tags(
            tuple(self._tag(place, float(scores[place]), known) for place in self._choose(crops, options)), unknown
        )

    def _choose(self, crops: npt.NDArray[np.float64], options: TagsOptions) -> list[int]:
        """Of scores (crops, concepts) the most specific above the threshold, each with one friendly parent; best first.

        What the caller allows by name is shown itself, even where something more specific is.
        """
        vocabulary = self.vocabulary
        scores = crops.max(axis=0)
        threshold = self.calibration.min_score if options.min_score is None else options.min_score
        allowed = self.keywords.find(options.allow)
        denied = vocabulary.with_descendants(self.keywords.find(options.deny))
        eligible = {int(place) for place in np.flatnonzero(scores >= threshold)} - denied - vocabulary.aliases
        if options.allow:
            eligible &= vocabulary.with_descendants(allowed)
        # Alternatives compete within a crop: another shows another thing.
        trees = [_Tree(vocabulary, self.calibration, crop, threshold, frozenset(eligible)) for crop in crops]
        chosen = {place for tree in trees for root in vocabulary.roots for place in tree.most_specific(root)}
        # What one crop shows only in wider words may be clear in another.
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
    """The concepts of one crop with their scores; only `eligible` ones may be shown."""

    vocabulary: Vocabulary
    calibration: Calibration
    scores: npt.NDArray[np.float64]
    threshold: float
    eligible: frozenset[int]

    def most_specific(self, place: int) -> list[int]:
        """Of the concept and what lies under it, the most specific ones that hold; of alternatives at most one."""
        if self.scores[place] < self.threshold:
            return []  # and so has all that lies under it
        vocabulary = self.vocabulary
        below = [(child, found) for child in vocabulary.children[place] if (found := self.most_specific(child))]
        own = [place] if place in self.eligible else []
        if not below:
            # A wider word of which nothing narrower holds is a hunch spread over many.
            spread = place >= vocabulary.classes
            enough = self.threshold + self.calibration.gathered * (1 - self.threshold)
            return [] if spread and self.scores[place] < enough else own
        if vocabulary.concepts[place].together:
            return [each for _, found in below for each in found]
        best, found = max(below, key=lambda pair: self.scores[pair[0]])
        clear = self.scores[best] >= self.calibration.clear * self.scores[place]
        return found if clear or not own else own


def prepare(picture: Picture) -> Tensors:
    """Crops of the picture as `pixels` (crops, SIDE, SIDE, 3), scaled so that SHORTER_SIDE is its shorter side.

    The centre; of a panorama several crops from end to end. Scaled only where decoding has not already done so, for a task that
    needs more pixels or a picture that has fewer.
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
            # By its corners in the picture's own pixels: a long panorama is never scaled as a whole.
            box = (left * across, top * down, min(width, (left + SIDE) * across), min(height, (top + SIDE) * down))
            pixels.append(np.asarray(whole.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)))
    return {"pixels": np.stack(pixels)}


def _crops(width: int, height: int) -> int:
    """One up to twice as long as wide, two up to three times, and so on."""
    return min(MAX_CROPS, max(1, math.ceil(max(width, height) / min(width, height)) - 1))


def _corners(width: int, height: int, count: int) -> list[tuple[int, int]]:
    """(left, top) of each crop, evenly from end to end."""
    if count == 1:
        return [((width - SIDE) // 2, (height - SIDE) // 2)]
    steps = [step / (count - 1) for step in range(count)]
    if width > height:
        return [(round((width - SIDE) * step), (height - SIDE) // 2) for step in steps]
    return [((width - SIDE) // 2, round((height - SIDE) * step)) for step in steps]
