# SPDX-License-Identifier: Apache-2.0
"""Turns the recogniser's tokens into characters, lines and words."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BLANK = 0

# As `likely_right` was fitted; benchmarks/ocr_scripts.py fits it again.
_SURE, _FULL, _BIAS = 0.93, 1.96, -2.72
_FAINT = 1.16
"""What a faint page adds to the logit: its letters are blurred, and the recogniser is right more often than it is sure."""
FEW = 3
"""Letters from which on it does: what looks like a single one is often a shape in a photograph in fog."""
_LEAST = 1e-3
_DENSE = 1.6
"""Letters per line height in ordinary print, wide ones counted twice; higher densities do not raise the confidence."""
_ENDS = 0.5
"""Margin that the box adds to a line's length, in line heights."""

# Kana, ideographs and their punctuation: nothing separates these, so each is a word.
_UNSPACED = re.compile(
    "[\u3001-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff0f\uff1a-\uff20\U00020000-\U0003ffff]"
)


@dataclass(frozen=True, slots=True)
class Character:
    """A character; `start` and `end` are fractions of the width that the recogniser saw."""

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
    """Decode one line's tokens (columns) by CTC best path: merge repeats, drop blanks.

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
    """Split a line at spaces; each Chinese or Japanese character is a word by itself."""
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


def join(characters: Sequence[Character]) -> str:
    """The text of the characters."""
    return "".join(each.text for each in characters)


def letters_per_height(characters: Sequence[Character], length: float) -> float:
    """Density of `characters` on a line of `length` line heights; it is low for unsupported scripts."""
    visible = (each.text[0] for each in characters if not each.text.isspace())
    letters = sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in visible)
    return min(letters / max(length - _ENDS, 0.3), _DENSE)


def likely_right(characters: Sequence[Character], density: float = _DENSE, *, faint: bool = False) -> float:
    """The confidence of a line or word: the expected share of correct characters, 0 to 1.

    `density` is the `letters_per_height` of the whole line, also for a word; `faint`, whether its page had to be brought out.
    A logistic regression on the mean of the characters' logits and on the letters for each height of line, fitted on drawn lines
    of 28 languages in ten scripts, clean and worn (docs/ocr.md). The recogniser's own probabilities give 0.9 to nonsense.
    """
    visible = [each for each in characters if not each.text.isspace()]
    if not visible:
        return 0.0
    sure = (min(max(each.confidence, _LEAST), 1 - _LEAST) for each in visible)
    logit = sum(math.log(probability / (1 - probability)) for probability in sure) / len(visible)
    said = (
        _SURE * logit + _FULL * math.log(density / _DENSE) + _BIAS + (_FAINT if faint and len(visible) >= FEW else 0.0)
    )
    return 1 / (1 + math.exp(-said))
