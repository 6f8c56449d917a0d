# SPDX-License-Identifier: Apache-2.0
"""Reads drawn pages (and a folder of pictures) with our OCR task and with RapidOCR's defaults, and compares what they say.

python benchmarks/ocr_quality.py [--samples DIR] [--repository DIR] [--out FILE.json] [--differences]
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import io
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

import cv2
import numpy as np
from imagier_server.decode.decoder import decode
from imagier_server.decode.formats import sniff
from imagier_server.decode.refusals import Caps
from imagier_server.export.onnx_runtime import onnxruntime
from imagier_server.messages import Picture, Tensors
from imagier_server.tasks.ocr.task import OcrTask
from imagier_server.tasks.ocr.values import OcrOptions
from imagier_server.timings import Stage
from ocr_pages import WrittenLine, pages
from rapidfuzz.distance.Levenshtein import distance as edits
from rapidocr import RapidOCR

P = ParamSpec("P")
T = TypeVar("T")
Corners = Sequence[Sequence[float]]

ROOT = Path(__file__).parents[1]
CAPS = Caps(pixels=10**8, side=10**5)
OVERLAP = 0.5
"""Two boxes are of one line if they share at least this part of their union."""


@dataclass(frozen=True, slots=True)
class Read:
    """A line that was read: its text and the corners of its box in pixels."""

    text: str
    corners: Corners


@dataclass(slots=True)
class InProcess:
    """Runs a task's steps with the model repository's graphs in this process."""

    models: Path
    sessions: dict[str, onnxruntime.InferenceSession] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    async def compute(self, stage: Stage, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        started = time.perf_counter()
        result = function(*args, **kwargs)
        self.seconds[stage] += time.perf_counter() - started
        return result

    async def infer(self, model: str, inputs: Tensors) -> Tensors:
        if model not in self.sessions:
            options = onnxruntime.SessionOptions()
            options.enable_cpu_mem_arena = False
            self.sessions[model] = onnxruntime.InferenceSession(str(self.models / model / "1" / "model.onnx"), options)
        session = self.sessions[model]
        started = time.perf_counter()
        outputs = session.run(None, dict(inputs))
        self.seconds[model] += time.perf_counter() - started
        return dict(zip((output.name for output in session.get_outputs()), outputs, strict=True))


@dataclass(slots=True)
class Score:
    """Sums over the lines of some pictures."""

    pictures: int = 0
    lines: int = 0
    unmatched: int = 0
    distance: float = 0.0  # sum over matched lines of the edit distance over the longer text's length
    characters: int = 0  # of the truth
    our_errors: int = 0
    their_errors: int = 0

    def add(self, ours: Sequence[Read], theirs: Sequence[Read], truth: Sequence[WrittenLine]) -> None:
        pairs = match(ours, theirs)
        self.pictures += 1
        self.lines += len(pairs)
        self.unmatched += len(ours) + len(theirs) - 2 * len(pairs)
        self.distance += sum(edits(a.text, b.text) / max(len(a.text), len(b.text)) for a, b in pairs)
        self.characters += sum(len(line.text) for line in truth)
        if truth:
            self.our_errors += errors(ours, truth)
            self.their_errors += errors(theirs, truth)

    def row(self) -> dict[str, float | None]:
        return {
            "pictures": self.pictures,
            "matched lines": self.lines,
            "unmatched lines": self.unmatched,
            "distance of matched": self.distance / max(self.lines, 1),
            "distance of all": (self.distance + self.unmatched) / max(self.lines + self.unmatched, 1),
            "our CER": self.our_errors / self.characters if self.characters else None,
            "their CER": self.their_errors / self.characters if self.characters else None,
        }


def match(ours: Sequence[Read], theirs: Sequence[Read]) -> list[tuple[Read, Read]]:
    """Pairs of lines whose boxes overlap, the best first, each line once."""
    candidates = sorted(
        ((overlap(a.corners, b.corners), i, j) for i, a in enumerate(ours) for j, b in enumerate(theirs)), reverse=True
    )
    left, right, pairs = set(range(len(ours))), set(range(len(theirs))), []
    for shared, i, j in candidates:
        if shared >= OVERLAP and i in left and j in right:
            left.remove(i)
            right.remove(j)
            pairs.append((ours[i], theirs[j]))
    return pairs


def overlap(first: Corners, second: Corners) -> float:
    """The intersection of two boxes over their union."""
    a, b = (cv2.convexHull(np.asarray(corners, np.float32)) for corners in (first, second))
    shared = cv2.intersectConvexConvex(a, b)[0]
    return shared / max(cv2.contourArea(a) + cv2.contourArea(b) - shared, 1e-6)


def errors(read: Sequence[Read], truth: Sequence[WrittenLine]) -> int:
    """Character edits to make what was read what was written.

    A line that was read belongs to the written line in whose box its middle is (the nearest if in none); what belongs to one is
    joined in the direction in which that is written.
    """
    parts: list[list[tuple[float, str]]] = [[] for _ in truth]
    for line in read:
        middle = np.mean(line.corners, axis=0)
        inside = [cv2.pointPolygonTest(np.asarray(each.corners, np.float32), middle.tolist(), True) for each in truth]
        nearest = int(np.argmax(inside))
        along = np.subtract(truth[nearest].corners[1], truth[nearest].corners[0])
        parts[nearest].append((float(middle @ along), line.text))
    return sum(
        edits(" ".join(text for _, text in sorted(of)), written.text) for of, written in zip(parts, truth, strict=True)
    )


def our_reading(task: OcrTask, steps: InProcess, image: bytes, options: OcrOptions) -> list[tuple[Read, float]]:
    """Read a picture as the gateway does, at the task's scale; return lines with confidences."""
    pixels, width, height, _ = decode(image, sniff(image), CAPS, task.scale)
    text = asyncio.run(task.run(Picture(np.asarray(pixels), width, height), options, (), steps))
    return [(Read(line.text, [(point.x, point.y) for point in line.polygon]), line.confidence) for line in text.lines]


def their_reading(engine: RapidOCR, image: bytes) -> list[Read]:
    """The same pixels at full size, in OpenCV's order of channels."""
    pixels = np.asarray(decode(image, sniff(image), CAPS, lambda _width, _height: 1.0)[0])
    found = engine(np.ascontiguousarray(pixels[:, :, ::-1]))
    if found.boxes is None or found.txts is None:
        return []
    return [Read(text, corners.tolist()) for text, corners in zip(found.txts, found.boxes, strict=True)]


def pictures(samples: Path | None) -> Iterator[tuple[str, str, bytes, tuple[WrittenLine, ...]]]:
    """Name, group, file and truth (if known) of every picture; of the samples only the upright ones."""
    for page in pages():
        file = io.BytesIO()
        page.image.save(file, "PNG", compress_level=1)
        yield page.name, "drawn", file.getvalue(), page.lines
    for path in sorted(samples.iterdir()) if samples else ():
        if path.suffix not in {".txt", ".md"} and "rotated" not in path.name:
            yield path.name, "samples", path.read_bytes(), ()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=Path, help="a folder of upright pictures to read too")
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "ocr_quality.json")
    parser.add_argument("--differences", action="store_true", help="print each line that differs")
    options = parser.parse_args()
    task, steps = OcrTask.load(options.repository), InProcess(options.repository)
    engine = RapidOCR(params={"Global.log_level": "error"})
    scores: dict[str, Score] = defaultdict(Score)
    seconds = 0.0

    for name, group, image, truth in pictures(options.samples):
        ours = [line for line, _ in our_reading(task, steps, image, OcrOptions())]
        started = time.perf_counter()
        theirs = their_reading(engine, image)
        seconds += time.perf_counter() - started
        for each in (name, "all", group, *(name.split("-")[:2] if truth else ())):
            scores[each].add(ours, theirs, truth)
        if options.differences:
            print_differences(name, ours, theirs)
    rows = {name: score.row() for name, score in scores.items() if score.pictures > 1}
    milliseconds = {name: 1000 * each / scores["all"].pictures for name, each in steps.seconds.items()}
    milliseconds["RapidOCR, decoding included"] = 1000 * seconds / scores["all"].pictures
    print_table(rows)
    print("\nMilliseconds a picture: " + ", ".join(f"{name} {each:.1f}" for name, each in milliseconds.items()))
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(
        json.dumps(
            {
                "date": dt.datetime.now(dt.UTC).date().isoformat(),
                "groups": rows,
                "milliseconds a picture": milliseconds,
            },
            indent=2,
        )
        + "\n",
        "utf-8",
    )


def print_differences(name: str, ours: Sequence[Read], theirs: Sequence[Read]) -> None:
    pairs = match(ours, theirs)
    for a, b in pairs:
        if a.text != b.text:
            print(f"{name}\n  ours   {a.text}\n  theirs {b.text}")
    for label, lines in (
        ("ours only  ", [a for a in ours if all(a is not pair[0] for pair in pairs)]),
        ("theirs only", [b for b in theirs if all(b is not pair[1] for pair in pairs)]),
    ):
        for line in lines:
            print(f"{name}\n  {label} {line.text}")


def print_table(rows: Mapping[str, Mapping[str, float | None]]) -> None:
    names = list(rows["all"])
    print(f"| |{'|'.join(names)}|\n|---|{'---:|' * len(names)}")
    for group, row in rows.items():
        cells = (
            f"{value:.4f}" if isinstance(value, float) else ("" if value is None else str(value))
            for value in row.values()
        )
        print(f"|{group}|{'|'.join(cells)}|")


if __name__ == "__main__":
    main()
