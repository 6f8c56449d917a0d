# SPDX-License-Identifier: Apache-2.0
"""Counts what OCR costs: CPU seconds and calls of the models, for photographs without text, small and large, and for receipts.

python benchmarks/ocr_cost.py [--pictures DIR] [--count N] [--efforts EFFORT…] [--repository DIR] [--out FILE.json]

Without `--pictures` (photographs, cut to 4 : 3) those of scikit-image are read. Receipts are drawn. RapidOCR reads the same files
with its defaults, in turn, in this process.
"""

from __future__ import annotations

import argparse
import datetime as dt
import io
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from imagier_server.export.onnx_runtime import onnxruntime
from imagier_server.messages import Tensors
from imagier_server.tasks.ocr.finding import DETECTOR
from imagier_server.tasks.ocr.recognizers import RECOGNIZER
from imagier_server.tasks.ocr.task import ORIENTER, OcrTask
from imagier_server.tasks.ocr.values import Effort, OcrOptions
from ocr_corpus import MENUS
from ocr_pages import font
from ocr_quality import ROOT, InProcess, our_reading, their_reading
from PIL import Image, ImageDraw, ImageOps
from rapidocr import RapidOCR

SIZES = {"photographs of 640 x 480": (640, 480), "photographs of 2048 x 1536": (2048, 1536)}
ONE_THREAD = {"EngineConfig.onnxruntime.intra_op_num_threads": 1}
"""For both: threads that wait for one another on a busy machine burn processor time."""

GRAIN = 6.0
"""Of the enlarged photographs, in levels: a sensor has some, and enlarging takes away what there was."""


@dataclass(slots=True)
class Counting(InProcess):
    """Counts the detector's canvases and pixels, the orienter's lines, the recogniser's lines and columns, and CPU seconds."""

    counts: Counter[str] = field(default_factory=lambda: Counter({"detector": 0, "other models": 0}))

    def __post_init__(self) -> None:
        for model in (DETECTOR, ORIENTER, RECOGNIZER):
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            path = self.models / model / "1" / "model.onnx"
            self.sessions[model] = onnxruntime.InferenceSession(str(path), options)

    async def infer(self, model: str, inputs: Tensors) -> Tensors:
        rows, height, width, _ = inputs["pixels"].shape
        if model == DETECTOR:
            self.counts.update({"canvases": rows, "megapixels": rows * height * width / 1e6})
        elif model == ORIENTER:
            self.counts["lines oriented"] += rows
        else:
            self.counts.update({"lines read": rows, "columns": rows * width})
        before = time.process_time()
        outputs = await InProcess.infer(self, model, inputs)
        self.counts["detector" if model == DETECTOR else "other models"] += time.process_time() - before
        return outputs


def photographs(folder: Path | None, count: int) -> Iterator[Image.Image]:
    if folder:
        files = sorted(folder.iterdir())
        for path in random.Random(1).sample(files, min(count, len(files))):
            yield Image.open(path).convert("RGB")
    else:
        from skimage import data

        for picture in (data.astronaut(), data.chelsea(), data.coffee(), data.rocket())[:count]:
            yield Image.fromarray(np.asarray(picture))


def sized(picture: Image.Image, size: tuple[int, int]) -> bytes:
    """A JPEG of `size` (or upright), grainy if it is enlarged."""
    wanted = size if picture.width >= picture.height else size[::-1]
    grain = GRAIN if wanted[0] > 1.5 * picture.width else 0.0
    pixels = np.asarray(ImageOps.fit(picture, wanted, Image.Resampling.LANCZOS), np.float32)
    noise = np.random.default_rng(1).normal(0, grain, (*pixels.shape[:2], 1)) if grain else 0
    return encoded(Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)))


def receipt(number: int) -> bytes:
    """900 x 1200, thirty lines of items and prices, a little askew."""
    dice = random.Random(number)
    picture = Image.new("RGB", (900, 1200), (246, 244, 238))
    draw, items = ImageDraw.Draw(picture), [*MENUS["en"], *MENUS["fr"]]
    draw.text((450, 60), "OLD HARBOUR STORE", (30, 30, 34), font("mono", 40), "ma")
    for row in range(15):
        draw.text((80, 150 + 66 * row), dice.choice(items).upper(), (30, 30, 34), font("mono", 26))
        price = f"{dice.randint(1, 99)}.{dice.randint(0, 99):02}"
        draw.text((820, 150 + 66 * row), price, (30, 30, 34), font("mono", 26), "ra")
    return encoded(picture.rotate(dice.uniform(-1.5, 1.5), Image.Resampling.BICUBIC, fillcolor=(246, 244, 238)))


def encoded(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=88)
    return file.getvalue()


def measured(
    task: OcrTask, engine: RapidOCR, repository: Path, files: list[bytes], efforts: list[Effort]
) -> dict[str, dict[str, float]]:
    """CPU seconds a picture, RapidOCR's and ours with each effort; and what ours are made of."""
    steps = {effort: Counting(repository) for effort in efforts}
    seconds: Counter[str] = Counter()
    for number, file in enumerate([files[0], *files]):
        for effort in efforts:
            before = time.process_time()
            our_reading(task, steps[effort], file, OcrOptions(effort=effort))
            seconds[effort] += time.process_time() - before
        before = time.process_time()
        their_reading(engine, file)
        seconds["RapidOCR"] += time.process_time() - before
        if not number:  # the first is read once more: sessions had to be made
            seconds.clear()
            for each in steps.values():
                each.counts = Counter(dict.fromkeys(each.counts, 0))
    counts = {effort: {name: n / len(files) for name, n in steps[effort].counts.items()} for effort in efforts}
    theirs = seconds["RapidOCR"] / len(files)
    ours = {
        effort.value: {
            "CPU seconds": seconds[effort] / len(files),
            "of RapidOCR's": seconds[effort] / seconds["RapidOCR"],
            **counts[effort],
        }
        for effort in efforts
    }
    return {**ours, "RapidOCR": {"CPU seconds": theirs}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, help="a folder of photographs")
    parser.add_argument("--count", type=int, default=4, help="pictures of each kind")
    parser.add_argument("--efforts", nargs="*", type=Effort, default=list(Effort), choices=list(Effort))
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "ocr_cost.json")
    options = parser.parse_args()
    task, engine = OcrTask.load(options.repository), RapidOCR(params={"Global.log_level": "error", **ONE_THREAD})
    rows = {}
    kinds = {
        kind: [sized(each, size) for each in photographs(options.pictures, options.count)]
        for kind, size in SIZES.items()
    }
    kinds["receipts of 900 x 1200"] = [receipt(number) for number in range(options.count)]
    for kind, files in kinds.items():
        rows[kind] = {"pictures": len(files), **measured(task, engine, options.repository, files, options.efforts)}
        print(kind, json.dumps(rows[kind], indent=1), flush=True)
    result = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "photographs": f"{options.count} of a folder" if options.pictures else "scikit-image's",
        "kinds": rows,
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
