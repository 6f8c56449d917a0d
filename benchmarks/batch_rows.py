# SPDX-License-Identifier: Apache-2.0
"""`python benchmarks/batch_rows.py`: what one row of a batch costs a CPU, by the rows that run together, on one thread.

Sizes take turns at random, so that a machine that becomes slower makes all of them slower.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from pathlib import Path
from statistics import median

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import numpy as np
import onnxruntime as ort  # noqa: TID251
from throughput import machine

ROOT = Path(__file__).parents[1]
SHAPES = {
    "tagger": [(260, 260, 3)],
    "text_recognizer": [(48, 160, 3), (48, 320, 3), (48, 640, 3)],
}
SIZES = (1, 2, 4, 8, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--write", action="store_true", help="keep the results in benchmarks/results/")
    arguments = parser.parse_args()
    found = {
        f"{model} {'x'.join(map(str, shape))}": measured(arguments.repository, model, shape, arguments.rounds)
        for model, shapes in SHAPES.items()
        for shape in shapes
    }
    record = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "rounds": arguments.rounds,
        "cpu_ms_a_row": found,
    }
    print(json.dumps(record, indent=2))
    if arguments.write:
        (ROOT / "benchmarks/results/batch_rows.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")


def measured(repository: Path, model: str, shape: tuple[int, ...], rounds: int) -> dict[int, float]:
    """Milliseconds of processor time for a row, by the rows of a run: the median over the rounds."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    session = ort.InferenceSession(repository / model / "1" / "model.onnx", options, providers=["CPUExecutionProvider"])
    noise = np.random.default_rng(0)
    inputs = {rows: {"pixels": noise.integers(0, 256, (rows, *shape), np.uint8)} for rows in SIZES}
    times: dict[int, list[float]] = {rows: [] for rows in SIZES}
    for rows in SIZES:
        session.run(None, inputs[rows])
    for _ in range(rounds):
        for rows in random.sample(SIZES, len(SIZES)):
            began = time.thread_time()
            session.run(None, inputs[rows])
            times[rows].append((time.thread_time() - began) / rows * 1000)
    return {rows: round(median(each), 1) for rows, each in times.items()}


if __name__ == "__main__":
    main()
