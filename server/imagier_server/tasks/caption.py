# SPDX-License-Identifier: Apache-2.0
"""The caption task: what the picture shows, in a sentence or several, each with how likely it is right, and as a short title."""

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
from imagier_server.messages import Caption, CaptionOptions, Captions, Picture, Tensors
from imagier_server.model_lock import ModelLockError, read_lock
from imagier_server.tasks.caption_wording import (
    TITLE_WORDS,
    essence,
    first_words,
    sentence,
    shortened,
    spaced,
    tidy,
    title,
)
from imagier_server.tasks.gender_neutral import gender_neutral
from imagier_server.tasks.languages import spoken
from imagier_server.tasks.task import LimitInfo, OptionInfo, Steps
from imagier_server.timings import Stage

MODEL: Final = "captioner"
MIN_WORDS: Final = 4
MAX_WORDS: Final = 50
MAX_CANDIDATES: Final = 5
DEFAULT_LANGUAGE: Final = "en"


@dataclass(frozen=True, slots=True)
class Confidence:
    """A logistic regression, fitted on a validation split, from what a model thinks of its caption to whether it is right."""

    intercept: float
    mean_log_probability: float
    tokens: float

    def score(self, log_probability: float, tokens: int) -> float:
        """0 to 1, for the sum of the log-probabilities of so many tokens, the end included."""
        mean = log_probability / tokens
        logit = self.intercept + self.mean_log_probability * mean + self.tokens * tokens
        return 1 / (1 + math.exp(-min(100.0, max(-100.0, logit))))


@dataclass(frozen=True, slots=True)
class Speaker:
    """What lies beside the captioner's weights: `captioner.json`, and the tokenizer.

    The picture is given to the model `side` pixels square. `prefix` is what its answers begin with and nobody wants to read.
    Without `confidence` nobody has measured this model, and whatever it says is a guess.
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
    def load(cls, assets: Path) -> Speaker:
        """Raises `ModelLockError` if they are missing or damaged."""
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
        except Exception as error:  # tokenizers raises nothing narrower
            raise ModelLockError(f"the assets of the {MODEL} are damaged; install it again") from error

    def read(self, token_ids: list[int]) -> tuple[str, int, bool]:
        """(words, tokens with the end, whether there is an end) of one candidate."""
        ended = self.end in token_ids
        said = token_ids[: token_ids.index(self.end)] if ended else [token for token in token_ids if token != self.pad]
        text = self.tokenizer.decode(said, skip_special_tokens=True).strip()
        if self.prefix and text.casefold().startswith(self.prefix.casefold()):
            text = text[len(self.prefix) :]
        return text, len(said) + ended, ended


@dataclass(frozen=True, slots=True)
class CaptionTask:
    """Asks the captioner once, and words its answers. `speaker` is None while no captioner is installed."""

    name: ClassVar[str] = "caption"
    models: ClassVar[tuple[str, ...]] = (MODEL,)
    optional: ClassVar[bool] = True
    price: ClassVar[int] = 1
    scripts: ClassVar[tuple[str, ...]] = ()
    limits: ClassVar[tuple[LimitInfo, ...]] = ()

    speaker: Speaker | None = None

    @classmethod
    def load(cls, repository: Path) -> CaptionTask:
        """With the captioner's assets, if one is installed. Raises `ModelLockError`."""
        installed = MODEL in read_lock(repository)
        return cls(Speaker.load(repository / MODEL / "assets") if installed else None)

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages that the captioner speaks."""
        return self.speaker.languages if self.speaker else ()

    @property
    def options(self) -> tuple[OptionInfo, ...]:
        """As the catalogue lists them."""
        return (
            OptionInfo("max_words", str(MAX_WORDS), MIN_WORDS, MAX_WORDS),
            OptionInfo("candidates", "1", 1, MAX_CANDIDATES),
            OptionInfo("min_score", str(self.speaker.min_score if self.speaker else 0.5), 0, 1),
            OptionInfo("gender_neutral", "false"),
        )

    def check(self, options: CaptionOptions) -> None:
        """Raises `InvalidRequestError`."""
        if options.max_words is not None and not MIN_WORDS <= options.max_words <= MAX_WORDS:
            raise InvalidRequestError(f"max_words must be from {MIN_WORDS} to {MAX_WORDS}", field="caption.max_words")
        if options.candidates is not None and not 1 <= options.candidates <= MAX_CANDIDATES:
            raise InvalidRequestError(f"candidates must be from 1 to {MAX_CANDIDATES}", field="caption.candidates")
        if options.min_score is not None and not 0 <= options.min_score <= 1:
            raise InvalidRequestError("min_score must be from 0 to 1", field="caption.min_score")

    def scale(self, width: int, height: int) -> float:
        """The shorter side as long as the model's input."""
        return min(1.0, (self.speaker.side if self.speaker else 1) / min(width, height))

    async def run(
        self, picture: Picture, options: CaptionOptions, languages: tuple[str, ...], steps: Steps
    ) -> Captions:
        """One inference of one row."""
        assert self.speaker is not None, "the pipeline runs no task whose model is not installed"
        known, unknown = spoken(languages or (DEFAULT_LANGUAGE,), self.speaker.languages)
        if not known:
            raise InvalidRequestError(
                f"captions are in {', '.join(self.speaker.languages)} only: add one of these languages, or ask for none",
                field="languages",
            )
        if options.gender_neutral and known[0] != "en":
            raise InvalidRequestError(
                "captions without gender are in en only: name it first", field="caption.gender_neutral"
            )
        inputs = await steps.compute(Stage.PREPARE, prepare, picture, self.speaker.side)
        outputs = await steps.infer(MODEL, inputs)
        said = await steps.compute(Stage.FINISH, finish, self.speaker, outputs, options, known[0])
        return replace(said, unknown_languages=unknown)


def prepare(picture: Picture, side: int) -> Tensors:
    """The whole picture as `pixels` (1, side, side, 3), however long and narrow: what is at its edges belongs to it."""
    whole = Image.fromarray(picture.pixels)
    return {"pixels": np.asarray(whole.resize((side, side), Image.Resampling.BICUBIC))[np.newaxis]}


def finish(speaker: Speaker, outputs: Tensors, options: CaptionOptions, language: str) -> Captions:
    """Candidates `token_ids` (1, C, L) with `log_probabilities` (1, C), best first → captions, no two alike, and a title.

    Those that need no shortening come first.
    """
    most = MAX_WORDS if options.max_words is None else options.max_words
    english = language == "en"
    fitting: list[Caption] = []
    cut: list[Caption] = []
    for caption in _candidates(speaker, outputs, options, language):
        short = shortened(caption.text, most) if english else first_words(caption.text, most)
        if short == caption.text:
            fitting.append(caption)
        elif short:
            cut.append(replace(caption, text=short))
    different: dict[tuple[str, ...], Caption] = {}
    for caption in fitting + cut:
        different.setdefault(essence(caption.text) if english else (caption.text.casefold(),), caption)
    captions = tuple(different.values())[: options.candidates or 1]
    if not captions:
        return Captions(())
    said = captions[0].text
    return Captions(captions, title(said) if english else first_words(said, TITLE_WORDS).rstrip("."))


def _candidates(speaker: Speaker, outputs: Tensors, options: CaptionOptions, language: str) -> Iterator[Caption]:
    threshold = speaker.min_score if options.min_score is None else options.min_score
    for token_ids, log_probability in zip(
        outputs["token_ids"][0].tolist(), outputs["log_probabilities"][0].tolist(), strict=True
    ):
        said, tokens, ended = speaker.read(token_ids)
        text = tidy(said, ended=ended) if language == "en" else sentence(spaced(said).split())
        if not text:
            continue
        if options.gender_neutral:
            text = gender_neutral(text)
        score = speaker.confidence.score(log_probability, tokens) if speaker.confidence else 0.0
        yield Caption(text, language, score, guess=speaker.confidence is None or score < threshold)
