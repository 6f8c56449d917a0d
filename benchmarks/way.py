# SPDX-License-Identifier: Apache-2.0
"""The way of a picture: the CPU time of each step without a server, and of each process and thread of ours, in turn in one run.

Tags of a 3-megapixel JPEG, eight in flight. Bare steps run on all cores at once, one thread a core, as they do under that load.
Then a task that does nothing, of a picture of 64 pixels, 32 in flight.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
import psutil
from imagier.v1 import annotator_pb2, tags_pb2
from imagier_server.cores import usable_cores
from imagier_server.export.onnx_runtime import onnxruntime
from imagier_server.tasks.tags import task as tagging
from imagier_server.tasks.tags.values import TagsOptions

sys.path.insert(0, str(Path(__file__).parent))
import picture_sets
from contenders import front_end, opened, ours
from loads import Send, closed
from spending import SERVED, spent
from throughput import OUTPUT, ROOT, machine

IN_FLIGHT, TINY_IN_FLIGHT = 8, 32
Turn = tuple[float, Mapping[str, float]]


def steps(repository: Path, path: Path) -> dict[str, Callable[[], object]]:
    """The work of one picture, step by step."""
    task = tagging.TagsTask.load(repository)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = repository / tagging.MODEL / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    picture = opened(path, task.scale)
    inputs = tagging.prepare(picture)
    names = [output.name for output in session.get_outputs()]

    def run() -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(None, dict(inputs)), strict=True))

    outputs = run()
    return {
        "decode": lambda: opened(path, task.scale),
        "prepare": lambda: tagging.prepare(picture),
        "run": run,
        "finish": lambda: task.finish(outputs, TagsOptions(), ("en",), inputs["pixels"]),
    }


def bare(step: Callable[[], object], seconds: float) -> float:
    """CPU milliseconds of one, on all cores at once."""

    def work(until: float) -> int:
        done = 0
        while time.perf_counter() < until:
            step()
            done += 1
        return done

    cores = usable_cores()
    with ThreadPoolExecutor(cores) as threads:
        spent, until = time.process_time(), time.perf_counter() + seconds
        done = sum(threads.map(work, [until] * cores))
        return (time.process_time() - spent) / done * 1e3


async def served(
    sends: Sequence[Send], in_flight: int, seconds: float, gateway: psutil.Process, engine: psutil.Process | None = None
) -> Turn:
    """Pictures a second, and CPU milliseconds of one by `SERVED`."""
    await closed(sends, in_flight, 1.0)
    before, began = spent(gateway, engine), time.perf_counter()
    done = len(await closed(sends, in_flight, seconds))
    took, after = time.perf_counter() - began, spent(gateway, engine)
    return done / took, {name: (after[name] - before[name]) / done * 1e3 for name in SERVED}


def medians(turns: Sequence[Turn]) -> dict[str, object]:
    """Of the turns."""
    return {
        "pictures_per_second": round(median(rate for rate, _ in turns), 1),
        "served_ms": {name: round(median(each[name] for _, each in turns), 2) for name in SERVED},
    }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each turn of the server; steps take half")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=OUTPUT / "way.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        [path] = picture_sets.photograph(Path(folder))
        work = steps(arguments.repository, path)
        alone: dict[str, list[float]] = {name: [] for name in work}
        turns, nothing = [], []
        async with ours(arguments.repository) as server, front_end(arguments.repository, server.triton) as front:
            tags = server.contender(annotator_pb2.AnnotateRequest(tags=tags_pb2.TagsOptions())).sends([path])
            tiny = front.sends(picture_sets.tiny(Path(folder)))
            for _ in range(arguments.rounds):
                for name, step in work.items():
                    alone[name].append(await asyncio.to_thread(bare, step, arguments.seconds / 2))
                turns.append(await served(tags, IN_FLIGHT, arguments.seconds, server.gateway, server.engine))
                nothing.append(await served(tiny, TINY_IN_FLIGHT, arguments.seconds, *front.processes))
                print(f"  {turns[-1][0]:.1f} pictures/s, {nothing[-1][0]:.0f} without a task", file=sys.stderr)
    record = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "rounds": arguments.rounds,
        "in_flight": IN_FLIGHT,
        "bare_ms": {name: round(median(each), 2) for name, each in alone.items()},
        **medians(turns),
        "nothing": medians(nothing),
    }
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    print(json.dumps(record))


if __name__ == "__main__":
    asyncio.run(main())
