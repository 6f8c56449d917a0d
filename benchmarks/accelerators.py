# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime beside OpenVINO on the installed graphs: CPU and wall time of a run, interleaved, and memory over many shapes.

Both run in FP32, as a model instance does, outside Triton. Memory is that of one process for each engine and model, after each
round over the same shapes: what still grows in the last is no cache of shapes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
from imagier_server.embedded.onnxruntime_backend.openvino_session import OpenVinoSession
from imagier_server.export.onnx_runtime import onnxruntime
from throughput import OUTPUT, ROOT, machine

Run = Callable[[dict[str, np.ndarray]], list[np.ndarray]]

THREADS = (1, 2)
ROUNDS = 3
"""Of the shapes whose memory is watched."""
SHAPES = {
    "tagger": [(1, 260, 260, 3), (8, 260, 260, 3)],
    "text_detector": [(1, 736, 736, 3), (1, 736, 1024, 3), (1, 1024, 1024, 3)],
    "text_line_orienter": [(8, 48, 192, 3)],
    "text_recognizer": [(1, 48, 320, 3), (8, 48, 320, 3), (8, 48, 640, 3)],
    "captioner": [(1, 224, 224, 3), (8, 224, 224, 3)],
    "text_embedder": [(1, 8), (16, 8), (1, 64)],
}
OUTPUTS = {
    "tagger": ["scores"],
    "text_detector": ["probability"],
    "text_line_orienter": ["upside_down"],
    "text_recognizer": ["token_ids", "confidences"],
    "captioner": ["token_ids", "log_probabilities"],
    "text_embedder": ["vector"],
}
MANY = {
    "text_detector": [(1, down, across, 3) for down in range(736, 1025, 96) for across in range(736, 1025, 96)],
    "text_recognizer": [(rows, 48, width, 3) for width in (160, 320, 480, 640, 960) for rows in (1, 2, 3, 5, 8)],
    "text_embedder": [(rows, tokens) for tokens in range(4, 65, 3) for rows in (1, 3, 8, 16)],
}


def path(role: str) -> Path:
    return ROOT / "model_repository" / role / "1" / "model.onnx"


def onnx_runtime(role: str, threads: int) -> Run:
    """A session as our model instances have it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path(role), options, providers=["CPUExecutionProvider"])
    return lambda feed: session.run(OUTPUTS[role], feed)  # type: ignore[no-any-return]


def openvino(role: str, threads: int) -> Run:
    """The same on OpenVINO."""
    session = OpenVinoSession(path(role), threads)
    return lambda feed: session.run(OUTPUTS[role], feed)


ENGINES = {"onnxruntime": onnx_runtime, "openvino": openvino}


def feed(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Random pixels or tokens."""
    random = np.random.default_rng(0)
    if len(shape) == 2:
        return {"tokens": random.integers(5, 20_000, shape)}
    return {"pixels": random.integers(0, 256, shape, np.uint8)}


def measured(role: str, threads: int, rounds: int) -> dict[str, object]:
    """Medians in milliseconds by shape, and the largest difference between the two engines' answers."""
    runs = {name: make(role, threads) for name, make in ENGINES.items()}
    figures: dict[str, object] = {}
    for shape in SHAPES[role]:
        given = feed(shape)
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        answers = {}
        for number in range(rounds + 1):
            for name, run in runs.items():
                wall, cpu = time.perf_counter(), time.process_time()
                answers[name] = run(given)
                if number:  # the first run allocates
                    took[name].append((time.perf_counter() - wall, time.process_time() - cpu))
        differ = max(
            float(np.abs(ours.astype(np.float64) - theirs).max())
            for ours, theirs in zip(*answers.values(), strict=True)
        )
        figures[" x ".join(map(str, shape))] = {
            **{
                name: {
                    "wall_ms": round(median(w for w, _ in pairs) * 1e3, 1),
                    "cpu_ms": round(median(c for _, c in pairs) * 1e3, 1),
                }
                for name, pairs in took.items()
            },
            "largest_difference": float(f"{differ:.1e}"),
        }
    return figures


def grown(role: str, engine: str) -> list[int]:
    """MiB of this process: with the graph loaded, and after each round over many shapes."""
    process = psutil.Process()
    run = ENGINES[engine](role, 1)
    found = [process.memory_info().rss]
    for _ in range(ROUNDS):
        for shape in MANY[role]:
            run(feed(shape))
        found.append(process.memory_info().rss)
    return [size >> 20 for size in found]


def child(*arguments: str) -> Any:
    """What this file prints for these arguments, in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def main() -> None:
    """Measure what is asked for, and write accelerators.json; parts that are not asked for stay as they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--roles", nargs="*", default=list(SHAPES), choices=SHAPES)
    parser.add_argument("--memory", nargs="*", default=list(MANY), choices=MANY)
    parser.add_argument("--print", nargs=2, metavar=("ROLE", "ENGINE"), help="only print how that one's memory grows")
    parser.add_argument("--out", type=Path, default=OUTPUT / "accelerators.json")
    arguments = parser.parse_args()
    if arguments.print:
        print(json.dumps(grown(*arguments.print)))
        return
    record = json.loads(arguments.out.read_text("utf-8")) if arguments.out.exists() else {"speed": {}, "memory_mib": {}}
    record |= {"date": time.strftime("%Y-%m-%d"), "machine": machine()}
    for role in arguments.roles:
        record["speed"][role] = {str(threads): measured(role, threads, arguments.rounds) for threads in THREADS}
        print(role, json.dumps(record["speed"][role], indent=1), file=sys.stderr)
    for role in arguments.memory:
        record["memory_mib"][role] = {engine: child("--print", role, engine) for engine in ENGINES}
        print(role, record["memory_mib"][role], file=sys.stderr)
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
