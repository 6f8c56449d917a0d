# SPDX-License-Identifier: Apache-2.0
"""`python benchmarks/tags_crops.py --pictures DIR`: what is gained by looking at a picture more than once, and what it costs.

DIR holds `<WordNet id>_<label>.jpg`. Ordinary pictures: one look at the centre beside other looks and means of several. Panoramas:
two to five labelled pictures side by side or one above another, of which every label is wanted; the server's rule beside the
centre alone.
"""

from __future__ import annotations

import argparse
import datetime as dt
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from imagier_server.tasks.tags.crops import SHORTER_SIDE, SIDE, prepare
from imagier_server.tasks.tags.task import TagsTask
from PIL import Image
from tags_calibration import fitted
from tags_scores import REPOSITORY, RESULTS, centre, decoded, encoded, labelled, model, shown

PANORAMAS = 60


def resized(picture: Image.Image, width: int, height: int) -> Image.Image:
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def looks(file: bytes) -> dict[str, np.ndarray]:
    """Each (260, 260, 3)."""
    with Image.open(io.BytesIO(file)) as opened:
        picture = opened.convert("RGB")
    factor = SIDE / min(picture.size)
    filled = resized(picture, max(SIDE, round(picture.width * factor)), max(SIDE, round(picture.height * factor)))
    fitting = resized(picture, *(max(1, round(side * SIDE / max(picture.size))) for side in picture.size))
    boxed = Image.new("RGB", (SIDE, SIDE), (127, 127, 127))
    boxed.paste(fitting, ((SIDE - fitting.width) // 2, (SIDE - fitting.height) // 2))
    pixels = np.asarray(filled)
    left, top = (filled.width - SIDE) // 2, (filled.height - SIDE) // 2
    return {
        "whole, squashed": np.asarray(resized(picture, SIDE, SIDE)),
        "whole, on grey": np.asarray(boxed),
        "centre, all of the shorter side": pixels[top : top + SIDE, left : left + SIDE],
        "begin": pixels[:SIDE, :SIDE],
        "end": pixels[-SIDE:, -SIDE:],
    }


MEANS = {
    "centre (the server's)": ["centre"],
    "whole, squashed": ["whole, squashed"],
    "whole, on grey": ["whole, on grey"],
    "centre, all of the shorter side": ["centre, all of the shorter side"],
    "centre + mirrored": ["centre", "mirrored"],
    "centre + whole": ["centre", "whole, squashed"],
    "centre + mirrored + whole": ["centre", "mirrored", "whole, squashed"],
    "three along the longer side": ["begin", "centre, all of the shorter side", "end"],
}


def panorama(parts: Sequence[bytes], *, upright: bool) -> bytes:
    """The pictures side by side, or one above another, each with the same shorter side, as a PNG file."""
    scaled = []
    for part in parts:
        with Image.open(io.BytesIO(part)) as opened:
            picture = opened.convert("RGB")
        factor = SHORTER_SIDE / (picture.width if upright else picture.height)
        size = (
            (SHORTER_SIDE, round(picture.height * factor)) if upright else (round(picture.width * factor), SHORTER_SIDE)
        )
        scaled.append(np.asarray(resized(picture, *size)))
    return encoded(np.concatenate(scaled, axis=0 if upright else 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True, help="labelled pictures")
    arguments = parser.parse_args()
    task = TagsTask.load(REPOSITORY)
    vocabulary, run = task.vocabulary, model()
    files = list(labelled(arguments.pictures))
    labels = np.array([vocabulary.index[concept] for concept, _ in files])

    seen: dict[str, list[np.ndarray]] = {}
    for _, file in files:
        middle = centre(decoded(file, task))[0]
        for name, pixels in {"centre": middle, "mirrored": middle[:, ::-1], **looks(file)}.items():
            seen.setdefault(name, []).append(run(pixels[np.newaxis])[0])
    ordinary = {}
    for name, parts in MEANS.items():
        scores = np.mean([seen[part] for part in parts], axis=0)
        temperature = fitted(scores, labels)
        sharp = replace(task.calibration, temperature=temperature).sharpen(scores)
        five = np.argsort(-scores, axis=-1)[:, :5]
        ordinary[name] = {
            "inferences": len(parts),
            "top1": round(float(np.mean(five[:, 0] == labels)), 4),
            "top5": round(float(np.mean((five == labels[:, None]).any(-1))), 4),
            "log_loss_calibrated": round(float(-np.log(sharp[np.arange(len(labels)), labels]).mean()), 4),
        }

    chance = np.random.default_rng(1)
    wide: dict[str, dict[str, dict[str, float]]] = {}
    for count in (2, 3, 4, 5):
        rows: dict[str, list[tuple[float, int, int, int, float]]] = {"centre": [], "crops (the server's)": []}
        for turn in range(PANORAMAS):
            picked = chance.choice(len(files), count, replace=False)
            picture = decoded(panorama([files[place][1] for place in picked], upright=turn % 2 == 1), task)
            crops = prepare(picture)["pixels"]
            aspect = max(picture.width, picture.height) / min(picture.width, picture.height)
            right = {place for label in labels[picked] for place in (int(label), *vocabulary.ancestors[label])}
            for name, pixels in (("centre", centre(picture)), ("crops (the server's)", crops)):
                tags = [place for place, _ in shown(task, run(pixels), max_tags=50)]
                hits = len(set(tags) & {int(label) for label in labels[picked]}) / count
                rows[name].append((hits, sum(tag in right for tag in tags), len(tags), len(pixels), aspect))
        wide[f"{count} pictures"] = {
            name: {
                "aspect": round(float(np.mean([row[4] for row in each])), 2),
                "inferences": round(float(np.mean([row[3] for row in each])), 2),
                "labels_named": round(float(np.mean([row[0] for row in each])), 3),
                "precision": round(sum(row[1] for row in each) / max(1, sum(row[2] for row in each)), 3),
                "tags": round(float(np.mean([row[2] for row in each])), 2),
            }
            for name, each in rows.items()
        }
    figures = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "data": f"{len(files)} labelled ImageNet photographs; {PANORAMAS} panoramas of them by count, half of them upright",
        "ordinary": ordinary,
        "panoramas": wide,
    }
    text = json.dumps(figures, indent=2)
    print(text)
    (RESULTS / "tags_crops.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
