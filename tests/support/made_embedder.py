# SPDX-License-Identifier: Apache-2.0
"""An embedder without weights: a tokenizer of a few words, what lies beside it, and what a model would answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers

DIMENSION = 8
CONTEXT = 6
PAD = -1
NAME = "made-8"
CLASSES = 1000
NO_SCORES = np.zeros((0, CLASSES), np.float32)
WORDS = ("<unk>", "cat", "dog", "red", "car", "house")


def tokenizer() -> Tokenizer:
    made = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return made


def space(tagger_digest: str, **changed: Any) -> dict[str, Any]:
    return {
        "name": NAME,
        "dimension": DIMENSION,
        "distance": "cosine",
        "image": {"scores_of": "tagger", "digest": tagger_digest, "best": 10},
        "text": {"context": CONTEXT, "pad": PAD, "padding": "longest"},
        **changed,
    }


def concepts() -> np.ndarray:
    """The vectors of the tagger's classes."""
    vectors = np.random.default_rng(5).normal(size=(CLASSES, DIMENSION))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def write_assets(folder: Path, tagger_digest: str, **changed: Any) -> None:
    """`space.json`, `tokenizer.json` and `concepts.npz`."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer().save(str(folder / "tokenizer.json"))
    np.savez(folder / "concepts.npz", vectors=concepts())
    write_golden(folder)
    (folder / "space.json").write_text(json.dumps(space(tagger_digest, **changed)), "utf-8")


def write_golden(folder: Path, texts: tuple[str, ...] = (), scores: np.ndarray = NO_SCORES) -> None:
    """`golden.npz`: what the model answers to these texts, and the tagger to black pictures. Nothing, for scripted ones."""
    vectors = [embedded(np.array([tokenizer().encode(text).ids]))[0] for text in texts]
    np.savez(
        folder / "golden.npz",
        texts=np.array(texts, str),
        vectors=np.array(vectors, np.float32).reshape(len(texts), DIMENSION),
        pixels=np.zeros((len(scores), 260, 260, 3), np.uint8),
        scores=scores,
    )


def embedded(tokens: np.ndarray) -> np.ndarray:
    """What the model answers to `tokens` (texts, length): how often each word is there, as a vector of unit length."""
    counts = np.stack([(tokens == word).sum(axis=1) for word in range(DIMENSION)], axis=1) + 0.01
    return (counts / np.linalg.norm(counts, axis=1, keepdims=True)).astype(np.float32)
