# SPDX-License-Identifier: Apache-2.0
"""How much of the gateway's own work for text holds Python's lock: what two threads do in the time of one, for scale.py.

Every function that the task runs in a thread for a library's pictures is recorded with its arguments, and then run again and again.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import ParamSpec, TypeVar

import cv2
import picture_sets
from contenders import opened
from imagier_server.export.onnx_runtime import onnxruntime
from imagier_server.messages import Tensors
from imagier_server.tasks.ocr.task import OcrTask
from imagier_server.tasks.ocr.values import OcrOptions
from imagier_server.timings import Stage
from throughput import OUTPUT, ROOT, machine

ROUNDS, PASSES, THREADS = 7, 4, 2
P = ParamSpec("P")
T = TypeVar("T")


class Recorder:
    """Steps that run at once, and are kept."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}
        self.calls: list[Callable[[], object]] = []

    async def compute(self, _: Stage, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self.calls.append(partial(function, *args, **kwargs))
        return function(*args, **kwargs)

    async def infer(self, model: str, inputs: Tensors) -> Tensors:
        if model not in self._sessions:
            file = self._repository / model / "1" / "model.onnx"
            self._sessions[model] = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        session = self._sessions[model]
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(None, dict(inputs)), strict=True))


def rate(calls: list[Callable[[], object]], threads: int) -> float:
    """How often a second all of them are run."""

    def all_of_them(_: int) -> None:
        for call in calls:
            call()

    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(all_of_them, range(PASSES)))
    return PASSES / (time.perf_counter() - began)


def main() -> None:
    """Measure one thread and two in turn, and write python_lock.json."""
    cv2.setNumThreads(1)  # as the server does: OpenCV's own threads are not what is measured
    repository = ROOT / "model_repository"
    task, steps = OcrTask.load(repository), Recorder(repository)
    with tempfile.TemporaryDirectory() as folder:
        for path in picture_sets.files("library", Path(folder), {}):
            asyncio.run(task.run(opened(path, task.scale), OcrOptions(), ("en",), steps))
    ratios = []
    for _ in range(ROUNDS):
        alone, together = rate(steps.calls, 1), rate(steps.calls, THREADS)
        ratios.append(together / alone)
        print(f"  {alone:.2f} and {together:.2f} passes a second", file=sys.stderr)
    found = {"rounds": ROUNDS, "threads": THREADS, "speed_up": round(median(ratios), 2)}
    record = {"date": time.strftime("%Y-%m-%d"), "machine": machine(), **found}
    (OUTPUT / "python_lock.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(json.dumps(record))


if __name__ == "__main__":
    main()
