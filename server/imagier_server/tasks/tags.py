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

from imagier_server.errors import InvalidRequestError
from imagier_server.messages import Picture, Tag, Tags, TagsOptions, Tensors
from imagier_server.tasks.keywords import Keywords
from imagier_server.tasks.task import OptionInfo, Steps
from imagier_server.tasks.vocabulary import Vocabulary
from imagier_server.timings import Stage

MODEL: Final = "tagger"
SIDE: Final = 260
"""The model's input, in pixels."""
SHORTER_SIDE: Final = 297
"""The picture is scaled to this before the centre is cut out: the preprocessing that the weights were measured with."""
GATHERED: Final = 2.0
"""A parent above the threshold of which no child is above it is a hunch spread over many: it needs this times the threshold."""
MAX_TAGS: Final = 50
MAX_LIST: Final = 2000


@dataclass(frozen=True, slots=True)
class TagsTask:
    """Scores every class, gathers classes into their parents, and keeps few words rather than many."""

    name: ClassVar[str] = "tags"
    models: ClassVar[tuple[str, ...]] = (MODEL,)
    price: ClassVar[int] = 1

    vocabulary: Vocabulary
    keywords: Keywords
    default_max_tags: int = 8
    default_min_score: float = 0.25

    @classmethod
    def load(cls, repository: Path) -> TagsTask:
        """With the labels of the model repository."""
        assets = repository / MODEL / "assets"
        vocabulary = Vocabulary.load(assets)
        return cls(vocabulary, Keywords.load(assets, vocabulary))

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
            OptionInfo("min_score", str(self.default_min_score), 0, 1),
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
        """One inference of one row."""
        inputs = await steps.compute(Stage.PREPARE, prepare, picture)
        outputs = await steps.infer(MODEL, inputs)
        return await steps.compute(Stage.FINISH, self.finish, outputs, options, languages)

    def finish(self, outputs: Tensors, options: TagsOptions, languages: tuple[str, ...]) -> Tags:
        """Probabilities `scores` (1, classes) → tags."""
        probabilities: npt.NDArray[np.float32] = outputs["scores"][0].astype(np.float32)
        scores = self.vocabulary.gather(probabilities)
        known, unknown = self.vocabulary.spoken(languages)
        return Tags(
            tuple(self._tag(place, float(scores[place]), known) for place in self._choose(scores, options)), unknown
        )

    def _choose(self, scores: npt.NDArray[np.float32], options: TagsOptions) -> list[int]:
        """The most specific concepts above the threshold, each with one friendly parent and no more; best first.

        What the caller allows by name is wanted for itself, whatever lies under it.
        """
        vocabulary = self.vocabulary
        threshold = self.default_min_score if options.min_score is None else options.min_score
        allowed = self.keywords.find(options.allow)
        denied = vocabulary.with_descendants(self.keywords.find(options.deny))
        above = {int(place) for place in np.flatnonzero(scores >= threshold)} - denied
        if options.allow:
            above &= vocabulary.with_descendants(allowed)
        wider = {place for each in above for place in vocabulary.ancestors[each]}
        chosen = set(above & allowed)
        for place in above - wider:
            if place in vocabulary.gathering and scores[place] < GATHERED * threshold:
                continue
            chosen.add(place)
            parent = vocabulary.parent[place]
            if parent in above:
                chosen.add(parent)
        ranked = sorted(chosen, key=lambda place: (-scores[place], len(vocabulary.ancestors[place]), place))
        existing = self.keywords.find(options.existing_tags)
        limit = self.default_max_tags if options.max_tags is None else options.max_tags
        return [place for place in ranked if place not in existing][:limit]

    def _tag(self, place: int, score: float, languages: tuple[str, ...]) -> Tag:
        vocabulary = self.vocabulary
        names, parents = vocabulary.names(place, languages), vocabulary.parents(place, languages)
        return Tag(vocabulary.concepts[place].id, names, score, parents)


def prepare(picture: Picture) -> Tensors:
    """The centre of the picture as `pixels` (1, SIDE, SIDE, 3), scaled so that SHORTER_SIDE is its shorter side.

    Scaled only where decoding has not already done so, for a task that needs more pixels or a picture that has fewer.
    """
    height, width = picture.pixels.shape[:2]
    factor = SHORTER_SIDE / min(height, width)
    scaled_width, scaled_height = round(width * factor), round(height * factor)
    left, top = (scaled_width - SIDE) // 2, (scaled_height - SIDE) // 2
    if (scaled_width, scaled_height) == (width, height):
        return {"pixels": picture.pixels[np.newaxis, top : top + SIDE, left : left + SIDE]}
    # The centre alone, by its corners in the picture's own pixels: a long panorama is never scaled as a whole.
    across, down = width / scaled_width, height / scaled_height
    box = (left * across, top * down, (left + SIDE) * across, (top + SIDE) * down)
    scaled = Image.fromarray(picture.pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)
    return {"pixels": np.asarray(scaled)[np.newaxis]}
