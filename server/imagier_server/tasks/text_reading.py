# SPDX-License-Identifier: Apache-2.0
"""Text, after the recogniser: its tokens become characters, lines and words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BLANK = 0

# Kana, ideographs and their punctuation: nothing separates these, so each is a word.
_UNSPACED = re.compile(
    "[\u3001-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff0f\uff1a-\uff20\U00020000-\U0003ffff]"
)


@dataclass(frozen=True, slots=True)
class Character:
    """A character that was read, and where: `start` and `end` are fractions of the width that the recogniser saw."""

    text: str
    confidence: float
    start: float
    end: float


def read_characters(
    token_ids: npt.NDArray[np.int64],
    confidences: npt.NDArray[np.float32],
    charset: Sequence[str],
    width: float,
) -> list[Character]:
    """Best-path decoding of one line's tokens (columns): repeats are one, blanks are none.

    Graves et al., "Connectionist Temporal Classification" (2006), section 3.2. Token n + 1 is the charset's n-th entry. A token
    stands near its character's middle, so neighbours meet half way; the line is the first `width` (a fraction) of what was seen.
    """
    kept = token_ids != BLANK
    kept[1:] &= token_ids[1:] != token_ids[:-1]
    columns = np.flatnonzero(kept)
    if len(columns) == 0:
        return []
    middles = (columns + 0.5) / len(token_ids)
    edges = np.clip(np.concatenate([[0.0], (middles[1:] + middles[:-1]) / 2, [width]]), 0.0, width).tolist()
    return [
        Character(charset[token - 1], confidence, start, end)
        for token, confidence, start, end in zip(
            token_ids[columns].tolist(), confidences[columns].tolist(), edges[:-1], edges[1:], strict=True
        )
    ]


def split_words(characters: Sequence[Character]) -> Iterator[Sequence[Character]]:
    """The words of a line: what stands between spaces, but each Chinese or Japanese character by itself."""
    word: list[Character] = []
    for character in characters:
        alone = _UNSPACED.match(character.text)
        if word and (alone or character.text.isspace()):
            yield word
            word = []
        if alone:
            yield [character]
        elif not character.text.isspace():
            word.append(character)
    if word:
        yield word


def join(characters: Sequence[Character]) -> tuple[str, float]:
    """What the characters say together, and the mean of their confidences; nothing is said without confidence."""
    if not characters:
        return "", 0.0
    return "".join(each.text for each in characters), sum(each.confidence for each in characters) / len(characters)
