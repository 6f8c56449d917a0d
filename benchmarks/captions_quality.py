# SPDX-License-Identifier: Apache-2.0
"""`python benchmarks/captions_quality.py --captions DIR [--source DIR [--fit]]`: BLEU, CIDEr and calibration of captions.

DIR holds Flickr8k's `images-224.tar` and `captions.csv`; its validation split is read, which no training reads. BLEU-1, BLEU-4 and
CIDEr are those of pycocoevalcap, on words as `[a-z0-9']+` finds them. Which captions count as right, captions_truth.py says.

Measured is the captioner that is installed, or with --source the decoder (decoder.safetensors, tokenizer.json) in a folder as
training/captioner.py writes it, installed or not. --fit writes its calibration into captioner.json there.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from captions_truth import read, right, words
from imagier_server.export import flickr_captioner
from imagier_server.export.caption_graph import build_captioner
from imagier_server.export.onnx_runtime import onnxruntime
from imagier_server.model_lock import read_lock
from imagier_server.tasks.caption.task import MODEL, CaptionerAssets, Confidence
from PIL import Image
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from scipy.optimize import minimize
from tokenizers import Tokenizer

ROOT = Path(__file__).parents[1]
BATCH = 8
FOLDS = 5
BINS = 5
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
WANTED = 0.65
"""Target precision of the captions above the threshold."""


def photographs(archive: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Pixels (224, 224, 3) by name."""
    with tarfile.open(archive) as files:
        wanted = {f"images/{name}" for name in names}
        found = (member for member in files if member.name in wanted)
        return {
            Path(member.name).name: np.asarray(Image.open(io.BytesIO(files.extractfile(member).read())).convert("RGB"))
            for member in found
        }


def installed(repository: Path) -> tuple[bytes, CaptionerAssets, str]:
    """The graph of the captioner in `repository`, what belongs to it, and its name."""
    folder = repository / MODEL
    name = read_lock(repository)[MODEL].full_version
    return (folder / "1" / "model.onnx").read_bytes(), CaptionerAssets.load(folder / "assets"), name


def built(source: Path) -> tuple[bytes, CaptionerAssets, str]:
    """The same of the decoder in `source`, which need not have a captioner.json."""
    weights = source / "decoder.safetensors"
    graph = build_captioner(flickr_captioner.load(weights), flickr_captioner.SIDE, flickr_captioner.SEARCH)
    assets = CaptionerAssets(
        Tokenizer.from_file(str(source / "tokenizer.json")),
        side=flickr_captioner.SIDE,
        languages=("en",),
        end=flickr_captioner.END,
        pad=flickr_captioner.PAD,
        prefix="",
        confidence=None,
        min_score=0.5,
    )
    return graph.SerializeToString(), assets, f"decoder {hashlib.sha256(weights.read_bytes()).hexdigest()[:12]}"


def captioned(graph: bytes, assets: CaptionerAssets, pictures: Sequence[np.ndarray]) -> list[tuple[str, float, int]]:
    """(words, log-probability, tokens) of the best caption of each picture."""
    session = onnxruntime.InferenceSession(graph)
    said = []
    for start in range(0, len(pictures), BATCH):
        pixels = np.stack(
            [
                np.asarray(Image.fromarray(picture).resize((assets.side, assets.side)))
                for picture in pictures[start : start + BATCH]
            ]
        )
        token_ids, log_probabilities = session.run(None, {"pixels": pixels})
        for row, log_probability in zip(token_ids[:, 0].tolist(), log_probabilities[:, 0].tolist(), strict=True):
            text, tokens, _ = assets.read(row)
            said.append((text, log_probability, tokens))
    return said


def fitted(features: np.ndarray, truth: np.ndarray) -> Confidence:
    """The logistic regression of (mean log-probability, tokens) with the least loss, slightly drawn to nothing."""
    rows = np.column_stack([np.ones(len(features)), features])

    def loss(weights: np.ndarray) -> float:
        logits = rows @ weights
        return float(np.logaddexp(0, np.where(truth, -logits, logits)).mean() + 1e-3 * (weights[1:] ** 2).sum())

    return Confidence(*(round(float(weight), 4) for weight in minimize(loss, np.zeros(3)).x))


def reliability(scores: np.ndarray, truth: np.ndarray) -> dict[str, object]:
    """Mean score and share that is right by bin of score, and the expected calibration error."""
    places = np.minimum((scores * BINS).astype(int), BINS - 1)
    rows, error = [], 0.0
    for place in np.unique(places):
        here = places == place
        score, share = float(scores[here].mean()), float(truth[here].mean())
        error += abs(score - share) * float(here.mean())
        rows.append(
            {"from": place / BINS, "count": int(here.sum()), "score": round(score, 3), "right": round(share, 3)}
        )
    return {"expected calibration error": round(error, 4), "bins": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--captions", type=Path, required=True, metavar="DIR")
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--source", type=Path, metavar="DIR")
    parser.add_argument("--fit", action="store_true", help="needs --source")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "captions_quality.json")
    arguments = parser.parse_args()
    if arguments.fit and not arguments.source:
        parser.error("--fit needs --source: of other captioners nothing is kept here")

    references = read(arguments.captions / "captions.csv", "validation")
    pictures = photographs(arguments.captions / "images-224.tar", list(references))
    names = sorted(pictures)
    graph, assets, model = built(arguments.source) if arguments.source else installed(arguments.repository)
    said = captioned(graph, assets, [pictures[name] for name in names])

    expected = {name: [" ".join(words(caption)) for caption in references[name]] for name in names}
    given = {name: [" ".join(words(text))] for name, (text, _, _) in zip(names, said, strict=True)}
    with contextlib.redirect_stdout(io.StringIO()):
        bleu, _ = Bleu(4).compute_score(expected, given)
        cider, _ = Cider().compute_score(expected, given)

    truth = np.array([right(text, references[name]) for name, (text, _, _) in zip(names, said, strict=True)])
    features = np.array([(log_probability / tokens, tokens) for _, log_probability, tokens in said])
    fold = np.arange(len(names)) % FOLDS
    unseen = np.zeros(len(names))
    for each in range(FOLDS):
        fit = fitted(features[fold != each], truth[fold != each])
        unseen[fold == each] = [fit.score(mean * tokens, int(tokens)) for mean, tokens in features[fold == each]]
    thresholds = {
        threshold: {
            "kept": round(float((unseen >= threshold).mean()), 3),
            "right": round(float(truth[unseen >= threshold].mean()), 3),
        }
        for threshold in THRESHOLDS
        if (unseen >= threshold).any()
    }
    confidence = fitted(features, truth)
    if arguments.fit:
        min_score = min(
            (threshold for threshold, row in thresholds.items() if row["right"] >= WANTED), default=max(thresholds)
        )
        card = {
            "side": assets.side,
            "languages": assets.languages,
            "end": assets.end,
            "pad": assets.pad,
            "prefix": assets.prefix,
            "confidence": asdict(confidence),
            "min_score": min_score,
        }
        (arguments.source / "captioner.json").write_text(json.dumps(card, indent=2) + "\n", "utf-8")

    figures = {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "data": "Flickr8k's validation split",
        "model": model,
        "photographs": len(names),
        "BLEU-1": round(bleu[0], 4),
        "BLEU-4": round(bleu[3], 4),
        "CIDEr": round(float(cider), 4),
        "right": round(float(truth.mean()), 4),
        "calibration, by cross-validation": reliability(unseen, truth),
        "thresholds": {str(threshold): row for threshold, row in thresholds.items()},
    }
    arguments.out.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
