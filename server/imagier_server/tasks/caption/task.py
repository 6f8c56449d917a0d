# SPDX-License-Identifier: Apache-2.0
"""The caption task: one or several sentences with calibrated scores, and a short title."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from PIL import Image
from tokenizers import Tokenizer

from imagier_server.errors import InvalidRequestError
from imagier_server.messages import Picture, Tensors
from imagier_server.model_lock import ModelLockError, read_lock
from imagier_server.tasks.caption.gender_neutral import gender_neutral
from imagier_server.tasks.caption.values import Caption, CaptionOptions, Captions
from imagier_server.tasks.caption.wording import (
    TITLE_WORDS,
    essence,
    first_words,
    sentence,
    shortened,
    spaced,
    tidy,
    title,
)
from imagier_server.tasks.languages import spoken
from imagier_server.tasks.options import Option, check
from imagier_server.tasks.task import LimitInfo, Steps
from imagier_server.timings import Stage

MODEL: Final = "captioner"
MIN_WORDS: Final = 4
MAX_WORDS: Final = 50
MAX_CANDIDATES: Final = 5
DEFAULT_LANGUAGE: Final = "en"


@dataclass(frozen=True, slots=True)
class Confidence:
    """A logistic regression from a caption's log-probability to the probability that it is right."""

    intercept: float
    mean_log_probability: float
    tokens: float

    def score(self, log_probability: float, tokens: int) -> float:
        """The score, 0 to 1, for the sum of the log-probabilities of a number of tokens, end token included."""
        mean = log_probability / tokens
        logit = self.intercept + self.mean_log_probability * mean + self.tokens * tokens
        return 1 / (1 + math.exp(-min(100.0, max(-100.0, logit))))


@dataclass(frozen=True, slots=True)
class CaptionerAssets:
    """The captioner's assets: `captioner.json` and the tokenizer.

    The model's input is `side` pixels square. `prefix` is a prefix of its captions to be removed. A model without
    `confidence` is not calibrated: all its captions are guesses.
    """

    tokenizer: Tokenizer
    side: int
    languages: tuple[str, ...]
    end: int
    pad: int
    prefix: str
    confidence: Confidence | None
    min_score: float

    @classmethod
    def load(cls, assets: Path) -> CaptionerAssets:
        """Load the assets. Raises `ModelLockError` if they are missing or damaged."""
        try:
            read = json.loads((assets / "captioner.json").read_text("utf-8"))
            confidence = Confidence(**read["confidence"]) if read["confidence"] else None
            tokenizer = Tokenizer.from_file(str(assets / "tokenizer.json"))
            languages = tuple(read["languages"])
            return cls(
                tokenizer,
                read["side"],
                languages,
                read["end"],
                read["pad"],
                read["prefix"],
                confidence,
                read["min_score"],
            )
        except Exception as error:  # tokenizers raises no narrower type
            raise ModelLockError(f"the assets of the {MODEL} are damaged; install it again") from error

    def read(self, token_ids: list[int]) -> tuple[str, int, bool]:
        """Decode one candidate into (words, number of tokens with the end, whether there is an end)."""
        ended = self.end in token_ids
        said = token_ids[: token_ids.index(self.end)] if ended else [token for token in token_ids if token != self.pad]
        text = self.tokenizer.decode(said, skip_special_tokens=True).strip()
        if self.prefix and text.casefold().startswith(self.prefix.casefold()):
            text = text[len(self.prefix) :]
        return text, len(said) + ended, ended


@dataclass(frozen=True, slots=True)
class CaptionTask:
    """Asks the captioner once, and words its answers. `assets` is None while no captioner is installed."""

    name: ClassVar[str] = "caption"
    models: ClassVar[tuple[str, ...]] = (MODEL,)
    optional: ClassVar[bool] = True
    price: ClassVar[int] = 1
    objective_seconds: ClassVar[float] = 5.0
    scripts: ClassVar[tuple[str, ...]] = ()
    limits: ClassVar[tuple[LimitInfo, ...]] = ()

    assets: CaptionerAssets | None = None

    @classmethod
    def load(cls, repository: Path) -> CaptionTask:
        """Load the captioner's assets, if it is installed. Raises `ModelLockError`."""
        installed = MODEL in read_lock(repository)
        return cls(CaptionerAssets.load(repository / MODEL / "assets") if installed else None)

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of the captioner."""
        return self.assets.languages if self.assets else ()

    @property
    def options(self) -> tuple[Option, ...]:
        """As the catalogue lists them."""
        return (
            Option("max_words", str(MAX_WORDS), MIN_WORDS, MAX_WORDS),
            Option("candidates", "1", 1, MAX_CANDIDATES),
            Option("min_score", str(self.assets.min_score if self.assets else 0.5), 0, 1),
            Option("gender_neutral", "false"),
            Option("include_guesses", "false"),
        )

    def check(self, options: CaptionOptions) -> None:
        """Raises `InvalidRequestError`."""
        check(self.name, self.options, options)

    def scale(self, width: int, height: int) -> float:
        """The scale at which the shorter side equals the model's input."""
        return min(1.0, (self.assets.side if self.assets else 1) / min(width, height))

    async def run(
        self, picture: Picture, options: CaptionOptions, languages: tuple[str, ...], steps: Steps
    ) -> Captions:
        """One inference of one row."""
        assert self.assets is not None, "the pipeline runs no task whose model is not installed"
        known, unknown = spoken(languages or (DEFAULT_LANGUAGE,), self.assets.languages)
        if not known:
            raise InvalidRequestError(
                f"captions are in {', '.join(self.assets.languages)} only: add one of these languages, or ask for none",
                field="languages",
            )
        if options.gender_neutral and known[0] != "en":
            raise InvalidRequestError(
                "captions without gender are in en only: name it first", field="caption.gender_neutral"
            )
        inputs = await steps.compute(Stage.PREPARE, prepare, picture, self.assets.side)
        outputs = await steps.infer(MODEL, inputs)
        said = await steps.compute(Stage.FINISH, finish, self.assets, outputs, options, known[0])
        return replace(said, unknown_languages=unknown)


def prepare(picture: Picture, side: int) -> Tensors:
    """Squash the whole picture to `pixels` (1, side, side, 3), whatever its aspect ratio."""
    whole = Image.fromarray(picture.pixels)
    return {"pixels": np.asarray(whole.resize((side, side), Image.Resampling.BICUBIC))[np.newaxis]}


def finish(assets: CaptionerAssets, outputs: Tensors, options: CaptionOptions, language: str) -> Captions:
    """Turn candidates `token_ids` (1, C, L), `log_probabilities` (1, C), best first, into distinct captions and a title.

    Candidates that need no shortening come first. Guesses are removed last, so that requesting them only adds to the
    result.
    """
    most = MAX_WORDS if options.max_words is None else options.max_words
    english = language == "en"
    fitting: list[Caption] = []
    cut: list[Caption] = []
    for caption in _candidates(assets, outputs, options, language):
        short = shortened(caption.text, most) if english else first_words(caption.text, most)
        if short == caption.text:
            fitting.append(caption)
        elif short:
            cut.append(replace(caption, text=short))
    different: dict[tuple[str, ...], Caption] = {}
    for caption in fitting + cut:
        different.setdefault(essence(caption.text) if english else (caption.text.casefold(),), caption)
    chosen = tuple(different.values())[: options.candidates or 1]
    captions = tuple(caption for caption in chosen if options.include_guesses or not caption.guess)
    left_out = len(chosen) - len(captions)
    if not captions:
        return Captions((), guesses_left_out=left_out)
    said = captions[0].text
    short = title(said) if english else first_words(said, TITLE_WORDS).rstrip(".")
    return Captions(captions, short, guesses_left_out=left_out)


def _candidates(assets: CaptionerAssets, outputs: Tensors, options: CaptionOptions, language: str) -> Iterator[Caption]:
    threshold = assets.min_score if options.min_score is None else options.min_score
    for token_ids, log_probability in zip(
        outputs["token_ids"][0].tolist(), outputs["log_probabilities"][0].tolist(), strict=True
    ):
        said, tokens, ended = assets.read(token_ids)
        text = tidy(said, ended=ended) if language == "en" else sentence(spaced(said).split())
        if not text:
            continue
        if options.gender_neutral:
            text = gender_neutral(text)
        score = assets.confidence.score(log_probability, tokens) if assets.confidence else 0.0
        yield Caption(text, language, score, guess=assets.confidence is None or score < threshold)
