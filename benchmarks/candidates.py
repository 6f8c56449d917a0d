# SPDX-License-Identifier: Apache-2.0
"""`python benchmarks/candidates.py --captions DIR`: whether one similarity tells for any word if a photograph shows the thing.

DIR holds Flickr8k's `images-224.tar` and `captions.csv`. Candidates are words of the tagger's vocabulary in three languages; a
photograph shows a thing if at least two of its five captions name it. The threshold is fitted on half of the words with photographs
of the training split, to a precision of one half; it is tried on the other words with the validation split, and with the halves
exchanged. The graphs run in this process. A threshold for any word must hold for words that it was not fitted on.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from imagier_server.decode.decoder import decode
from imagier_server.decode.formats import sniff
from imagier_server.decode.refusals import Caps
from imagier_server.export.onnx_runtime import onnxruntime
from imagier_server.messages import Picture
from imagier_server.tasks.embedding.space import TEXT_EMBEDDER, Space
from imagier_server.tasks.tags.vocabulary import Vocabulary
from retrieval import LANGUAGES, NAMED, average_precision, photographs
from tags_captions import words_of

ROOT = Path(__file__).parents[1]
CAPS = Caps(10**9, 10**5)
FITTED, HELD_OUT = "train", "validation"
PRECISION = 0.5
FEWEST = 5
"""Photographs of a split that show a thing, for its word to count."""
BINS = (-1.0, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0)


class Vectors:
    """The installed space, its graphs in this process."""

    def __init__(self, repository: Path) -> None:
        space = Space.of_repository(repository)
        assert space, "installed"
        assert space.image, "installed"
        assert space.text, "installed"
        self.name, self._image, self._text = space.info.name, space.image, space.text
        self._graphs = {
            role: onnxruntime.InferenceSession(repository / role / "1/model.onnx", providers=["CPUExecutionProvider"])
            for role in (space.image.model, TEXT_EMBEDDER)
        }

    def _infer(self, role: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        graph = self._graphs[role]
        names = [output.name for output in graph.get_outputs()]
        return dict(zip(names, graph.run(names, dict(inputs)), strict=True))

    def picture(self, content: bytes) -> np.ndarray:
        pixels, width, height, _ = decode(content, sniff(content), CAPS, self._image.scale)
        inputs = self._image.prepare(Picture(np.asarray(pixels), width, height))
        return np.asarray(self._image.finish(self._infer(self._image.model, inputs))[0])

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        found: dict[int, np.ndarray] = {}
        for batch in self._text.tokenise(texts).batches:
            found |= dict(zip(batch.places, self._infer(TEXT_EMBEDDER, batch.inputs)["vector"], strict=True))
        return np.stack([found[place] for place in range(len(texts))])


def captions_of(file: Path, most: int) -> dict[str, dict[str, list[set[str]]]]:
    """The words of each caption, by split and photograph; at most so many photographs of a split."""
    found: dict[str, dict[str, list[set[str]]]] = defaultdict(dict)
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            split = found[row["split"]]
            if row["image"] in split or len(split) < most:
                split.setdefault(row["image"], []).append(set(re.findall("[a-z]+", row["caption"].lower())))
    return found


def fitted(similar: np.ndarray, truth: np.ndarray) -> float:
    """The least similarity at and above which `PRECISION` of the pairs of photograph and word are right."""
    order = np.argsort(-similar, axis=None)
    right = truth.ravel()[order]
    precise = np.cumsum(right) / np.arange(1, len(right) + 1) >= PRECISION
    return float(similar.ravel()[order][np.flatnonzero(precise)[-1]])


def tried(similar: np.ndarray, truth: np.ndarray, threshold: float) -> dict[str, float]:
    """Precision and recall of all pairs together, and percentiles of the words' own precisions."""
    passed = similar >= threshold
    by_word = [float(truth[row][kept].mean()) for row, kept in enumerate(passed) if kept.any()]
    low, middle, high = np.percentile(by_word, [10, 50, 90])
    return {
        "precision": round(float(truth[passed].mean()), 3),
        "recall": round(float(passed[truth].mean()), 3),
        "words above": len(by_word),
        "words' precision, 10th percentile": round(float(low), 3),
        "words' precision, median": round(float(middle), 3),
        "words' precision, 90th percentile": round(float(high), 3),
    }


def measured(folder: Path, repository: Path, most: int) -> dict[str, Any]:
    splits = captions_of(folder / "captions.csv", most)
    vocabulary = Vocabulary.load(repository / "tagger/assets")
    words = words_of(vocabulary)
    vectors = Vectors(repository)
    rows, truth = {}, {}
    for split in (FITTED, HELD_OUT):
        pictures = photographs(folder / "images-224.tar", splits[split])
        rows[split] = np.stack([vectors.picture(pictures[name]) for name in sorted(pictures)])
        named = [splits[split][name] for name in sorted(pictures)]
        truth[split] = {
            place: np.array([sum(not own.isdisjoint(caption) for caption in captions) >= NAMED for captions in named])
            for place, own in words.items()
        }
    places = [place for place in sorted(words) if all(truth[split][place].sum() >= FEWEST for split in truth)]
    record: dict[str, Any] = {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "data": "Flickr8k, squashed to 224 x 224",
        "space": vectors.name,
        "words": [vocabulary.concepts[place].names["en"] for place in places],
        "photographs": {split: len(rows[split]) for split in rows},
        "pairs that are right": round(float(np.mean([truth[HELD_OUT][place] for place in places])), 3),
        "languages": {},
    }
    for language in LANGUAGES:
        texts = vectors.texts([vocabulary.concepts[place].names[language] for place in places])
        similar = {split: texts @ rows[split].T for split in rows}
        right = {split: np.stack([truth[split][place] for place in places]) for split in rows}
        folds = []
        for half in (0, 1):
            own, others = slice(half, None, 2), slice(1 - half, None, 2)
            threshold = fitted(similar[FITTED][own], right[FITTED][own])
            folds.append(
                {
                    "threshold": round(threshold, 3),
                    "the words fitted, other photographs": tried(
                        similar[HELD_OUT][own], right[HELD_OUT][own], threshold
                    ),
                    "other words, other photographs": tried(
                        similar[HELD_OUT][others], right[HELD_OUT][others], threshold
                    ),
                }
            )
        flat, shown = similar[HELD_OUT].ravel(), right[HELD_OUT].ravel()
        bins = [(low, high, (flat >= low) & (flat < high)) for low, high in pairwise(BINS)]
        record["languages"][language] = {
            "mean average precision": round(
                float(
                    np.mean([average_precision(*pair) for pair in zip(similar[HELD_OUT], right[HELD_OUT], strict=True)])
                ),
                3,
            ),
            "halves": folds,
            "right by similarity": {
                f"{low} to {high}": {"pairs": int(within.sum()), "right": round(float(shown[within].mean()), 3)}
                for low, high, within in bins
                if within.any()
            },
        }
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--captions", type=Path, required=True, metavar="DIR")
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--most", type=int, default=1000, help="photographs of a split")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "candidates.json")
    arguments = parser.parse_args()
    figures = measured(arguments.captions, arguments.repository, arguments.most)
    arguments.out.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps(figures, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
