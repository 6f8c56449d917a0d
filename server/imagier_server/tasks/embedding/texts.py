# SPDX-License-Identifier: Apache-2.0
"""Texts as the tokens of the model: checked, tokenised, and laid out in batches of similar length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from tokenizers import Tokenizer

from imagier_server.errors import InvalidRequestError
from imagier_server.messages import Tensors

MAX_TEXTS: Final = 256
MAX_CHARACTERS: Final = 4000
ROWS: Final = 16
"""Texts in one inference; `max_batch_size` of the model."""
_STEP: Final = 8
"""Lengths of batches are multiples of this, so that requests of similar length are batched together."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some of the texts, by their places, as the model's inputs."""

    places: tuple[int, ...]
    inputs: Tensors


@dataclass(frozen=True, slots=True)
class Tokenised:
    """The texts in batches; which of them are longer than the model reads."""

    batches: tuple[Batch, ...]
    truncated: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class TextSide:
    """How texts become `tokens` INT64 (texts, length): at most `context` each, filled with `pad`.

    `whole`: every row has `context` tokens; otherwise as many as the longest of its batch.
    """

    tokenizer: Tokenizer
    context: int
    pad: int
    whole: bool

    @classmethod
    def of(cls, read: Mapping[str, Any], tokenizer: Tokenizer) -> TextSide:
        """The side of `space.json`. The tokenizer adds the special tokens, and cuts off what is longer than the context."""
        tokenizer.no_padding()
        tokenizer.enable_truncation(read["context"])
        return cls(tokenizer, read["context"], read["pad"], read["padding"] == "context")

    def tokenise(self, texts: Sequence[str]) -> Tokenised:
        """Lay the texts out, the longest together."""
        found = self.tokenizer.encode_batch(list(texts))
        lengths = [len(each.ids) for each in found]
        order = sorted(range(len(found)), key=lambda place: lengths[place])
        batches = []
        for begin in range(0, len(order), ROWS):
            places = tuple(order[begin : begin + ROWS])
            longest = self.context if self.whole else min(self.context, -(-lengths[places[-1]] // _STEP) * _STEP)
            tokens = np.full((len(places), longest), self.pad, np.int64)
            for row, place in zip(tokens, places, strict=True):
                row[: lengths[place]] = found[place].ids
            batches.append(Batch(places, {"tokens": tokens}))
        return Tokenised(tuple(batches), tuple(bool(each.overflowing) for each in found))


def is_blank(text: str) -> bool:
    """Whether there is nothing to see in the text: spaces, or what has no form of its own, such as a byte order mark."""
    return not any(character.isprintable() and not character.isspace() for character in text)


def check_texts(texts: Sequence[str], field: str = "texts", most: int = MAX_TEXTS) -> None:
    """Raises `InvalidRequestError` that names the text at fault."""
    if not texts:
        raise InvalidRequestError("there is no text: send at least one", field=field)
    if len(texts) > most:
        raise InvalidRequestError(f"more than {most} texts are given: send several requests", field=field)
    for place, text in enumerate(texts):
        if is_blank(text):
            raise InvalidRequestError("the text is empty", field=f"{field}[{place}]")
        if len(text) > MAX_CHARACTERS:
            raise InvalidRequestError(f"longer than {MAX_CHARACTERS} characters", field=f"{field}[{place}]")
