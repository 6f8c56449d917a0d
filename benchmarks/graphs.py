# SPDX-License-Identifier: Apache-2.0
"""What each rewrite of a published graph saves: CPU and wall time of one run without it and with it, interleaved, in one process.

The only one so far flushes denormal weights (imagier_server/export/denormals.py).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median

import numpy as np
import onnx
from imagier_server.export import denormals
from imagier_server.export.catalogue import CATALOGUE
from imagier_server.export.convert import named
from imagier_server.export.fetch import fetch
from imagier_server.export.onnx_runtime import onnxruntime
from throughput import OUTPUT, ROOT, machine

THREADS = 2
INPUTS = {"text_detector": (1, 1024, 1024, 3), "text_recognizer": (6, 48, 640, 3)}


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A session with the threads of our model instances."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def measured(role: str, rounds: int) -> dict[str, object]:
    """Medians in milliseconds, and whether the two graphs answer alike."""
    row = CATALOGUE[role]
    model, _ = named(row.convert)(fetch(row.source, ROOT / "model_repository"))
    sessions = {"as published": session(model)}
    flushed = denormals.flush(model)
    sessions["flushed"] = session(model)
    pixels = np.random.default_rng(0).integers(0, 256, INPUTS[role], np.uint8)
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in sessions}
    answers = {}
    for number in range(rounds + 1):
        for name, each in sessions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            answers[name] = each.run(None, {"pixels": pixels})
            if number:  # the first run allocates
                took[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    equal = all(np.array_equal(*pair) for pair in zip(*answers.values(), strict=True))
    figures = {
        name: {
            "wall_ms": round(median(w for w, _ in runs) * 1e3, 1),
            "cpu_ms": round(median(c for _, c in runs) * 1e3, 1),
        }
        for name, runs in took.items()
    }
    return {"input": INPUTS[role], "flushed_weights": flushed, "equal": equal, **figures}


def main() -> None:
    """Measure each graph with denormal weights and write graphs.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=OUTPUT / "graphs.json")
    arguments = parser.parse_args()
    graphs = {role: measured(role, arguments.rounds) for role in INPUTS}
    record = {"date": time.strftime("%Y-%m-%d"), "machine": machine(), "threads": THREADS, "graphs": graphs}
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
