# SPDX-License-Identifier: Apache-2.0
"""Reads drawn lines in 28 languages, clean and worn: what is read well, and whether a confidence says how much is right.

python benchmarks/ocr_scripts.py [--repository DIR] [--out FILE.json]

Confidences were fitted to lines like these (`likely_right` in reading.py), so each language is also judged by a fit to the
others alone: a logistic regression on the logit of our confidence, the logarithm of the line's density and whether its page
was brought out (and it has a few letters), which spans what ours may say. The fit to all lines is told, too: (1, 0, 0, 0) would
be ours.
"""

from __future__ import annotations

import argparse
import datetime as dt
import io
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from imagier_server.tasks.ocr.faint import bring_out
from imagier_server.tasks.ocr.reading import FEW, Character, letters_per_height
from imagier_server.tasks.ocr.task import MIN_CONFIDENCE, OcrTask
from imagier_server.tasks.ocr.values import OcrOptions
from ocr_languages import LANGUAGES, READ, Language, language_pages
from ocr_pages import DrawnPage
from ocr_quality import ROOT, InProcess, Read, errors, our_reading
from rapidfuzz.distance.Levenshtein import distance as edits
from scipy.optimize import minimize

BINS = 10


class Judged(NamedTuple):
    """A line that was read: what we say of it, and the part of it that is right."""

    confidence: float
    right: float
    readable: bool
    language: str
    density: float
    faint: bool


def judged(read: list[tuple[Read, float]], page: DrawnPage, language: Language) -> list[Judged]:
    """Each line beside the written one that it is most like, of those at its height."""
    lines, brought_out = [], bring_out(np.asarray(page.image.convert("RGB"))) is not None
    for line, confidence in read:
        middle = float(np.mean([y for _, y in line.corners]))
        text = min(page.lines, key=lambda written: abs(np.mean([y for _, y in written.corners]) - middle)).text
        right = max(0.0, 1 - edits(line.text, text) / max(len(text), len(line.text)))
        begin, end, _, below = np.asarray(line.corners)
        length = float(np.linalg.norm(end - begin) / np.linalg.norm(below - begin))
        density = letters_per_height([Character(each, 1.0, 0.0, 0.0) for each in line.text], length)
        faint = brought_out and len("".join(line.text.split())) >= FEW
        lines.append(Judged(confidence, right, language.script in READ, language.tag, density, faint))
    return lines


def refitted(lines: list[Judged]) -> tuple[npt.NDArray[np.float64], list[Judged]]:
    """The weights fitted to all lines, and the lines with what fits to the other languages say of them."""
    confidences = np.array([line.confidence for line in lines])
    logits = np.log(confidences / (1 - confidences))
    faint = [line.faint for line in lines]
    features = np.column_stack([logits, np.log([line.density for line in lines]), np.ones(len(lines)), faint])
    truth = np.array([line.right for line in lines])
    languages = np.array([line.language for line in lines])

    def fit(rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        def loss(weights: npt.NDArray[np.float64]) -> float:
            said = features[rows] @ weights
            return float((np.logaddexp(0, said) - truth[rows] * said).mean())

        return np.asarray(minimize(loss, [1.0, 0.0, 0.0, 0.0]).x)

    unseen = np.zeros(len(lines))
    for language in np.unique(languages):
        weights = fit(languages != language)
        unseen[languages == language] = 1 / (1 + np.exp(-features[languages == language] @ weights))
    said = [line._replace(confidence=float(each)) for line, each in zip(lines, unseen, strict=True)]
    return fit(np.ones(len(lines), bool)), said


def reliability(lines: list[Judged]) -> list[dict[str, float]]:
    """By tenths of confidence: how many lines, their mean confidence, and how much of them is right."""
    rows = []
    for tenth in range(BINS):
        inside = [line for line in lines if min(int(line.confidence * BINS), BINS - 1) == tenth]
        if inside:
            confidence, right = np.mean([line[:2] for line in inside], axis=0).tolist()
            rows.append({"from": tenth / BINS, "lines": len(inside), "confidence": confidence, "right": right})
    return rows


def calibration_error(rows: list[dict[str, float]]) -> float:
    """The expected calibration error: the distance between the two, over all lines (Naeini et al. 2015)."""
    return sum(row["lines"] * abs(row["confidence"] - row["right"]) for row in rows) / sum(row["lines"] for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "ocr_scripts.json")
    options = parser.parse_args()
    task, steps = OcrTask.load(options.repository), InProcess(options.repository)
    everything = OcrOptions(min_confidence=0.0)
    lines: list[Judged] = []
    languages = {}
    for language in LANGUAGES:
        rates: dict[str, float] = {}
        mine: list[Judged] = []
        for wear, page in language_pages(language):
            file = io.BytesIO()
            page.image.save(file, "PNG", compress_level=1)
            read = our_reading(task, steps, file.getvalue(), everything)
            mine += judged(read, page, language)
            rates[wear.name] = _rate(read, page)
        lines += mine
        languages[language.tag] = _language(language, rates, mine)
        print(language.tag, languages[language.tag], flush=True)
    rows = reliability(lines)
    weights, unseen = refitted(lines)
    unread = [line.confidence >= MIN_CONFIDENCE for line in lines if not line.readable]
    result = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "data": f"{len(lines)} lines in {len(LANGUAGES)} languages, drawn by benchmarks/ocr_languages.py",
        "expected calibration error": calibration_error(rows),
        "expected calibration error by fits to the other languages": calibration_error(reliability(unseen)),
        "fit to all lines": [round(weight, 3) for weight in weights.tolist()],
        "unreadable lines kept": sum(unread) / len(unread),
        "reliability": rows,
        "languages": languages,
    }
    options.out.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps({key: value for key, value in result.items() if key not in {"languages", "reliability"}}))


def _rate(read: list[tuple[Read, float]], page: DrawnPage) -> float:
    """Character error rate of what is answered by default."""
    kept = [line for line, confidence in read if confidence >= MIN_CONFIDENCE]
    return errors(kept, page.lines) / sum(len(line.text) for line in page.lines)


def _language(language: Language, rates: dict[str, float], lines: list[Judged]) -> dict[str, object]:
    return {
        "script": language.script,
        "CER": {name: round(rate, 4) for name, rate in rates.items()},
        "kept": round(sum(line.confidence >= MIN_CONFIDENCE for line in lines) / max(len(lines), 1), 3),
    }


if __name__ == "__main__":
    main()
