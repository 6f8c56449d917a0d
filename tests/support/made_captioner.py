# SPDX-License-Identifier: Apache-2.0
"""A captioner without weights: a tokenizer of a few words, what lies beside it, and what a model would answer."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

# ruff: noqa: SIM905 - lists of words

PAD, START, END, UNKNOWN = range(4)
LENGTH = 24
SIDE = 224
MIN_SCORE = 0.4
WORDS = (
    "a the of and in into on is are two man woman men people dog dogs brown black white cat jumps jumping standing runs pool hat "
    "his photo picture grass snow rock red shirt with at to . ,"
).split()


def tokenizer() -> Tokenizer:
    words = ["<pad>", "<start>", "<end>", "<unk>", *WORDS]
    made = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    made.add_special_tokens(words[:4])
    return made


def write_assets(folder: Path, **changed: Any) -> None:
    """`tokenizer.json` and `captioner.json`; the more probable a token on average, the higher the score."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer().save(str(folder / "tokenizer.json"))
    confidence = {"intercept": 2.0, "mean_log_probability": 2.0, "tokens": 0.0}
    settings = {"side": SIDE, "languages": ["en"], "end": END, "pad": PAD, "prefix": "", "min_score": MIN_SCORE}
    (folder / "captioner.json").write_text(json.dumps({**settings, "confidence": confidence, **changed}), "utf-8")


def said(*captions: str, probability: float = 0.9, ended: bool = True) -> dict[str, np.ndarray]:
    """What the model answers: these captions, each token as probable as that."""
    words = tokenizer()
    token_ids = np.full((1, len(captions), LENGTH), PAD, np.int32)
    log_probabilities = np.zeros((1, len(captions)), np.float32)
    for row, caption in enumerate(captions):
        ids = words.encode(caption).ids + [END] * ended
        token_ids[0, row, : len(ids)] = ids
        log_probabilities[0, row] = len(ids) * math.log(probability)
    return {"token_ids": token_ids, "log_probabilities": log_probabilities}
