# SPDX-License-Identifier: Apache-2.0
"""Opens a graph in ONNX Runtime, with the settings of config.pbtxt by the native backend's names."""

# ruff: noqa: INP001  a folder of Triton's backend directory, no package of ours

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# ONNX Runtime checks this at import. The environment of an embedded Triton sets it too.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort  # noqa: TID251

Feeds = Mapping[str, npt.NDArray[Any]]
Providers = list[str | tuple[str, dict[str, str]]]
CPU = "CPUExecutionProvider"
FATAL = 4  # of ONNX Runtime's severities

# Of `optimization { graph { level } }`, as the native backend reads it.
GRAPH_LEVELS = {
    -1: ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    1: ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}


class OnnxRuntimeSession:
    """A graph for several threads at a time."""

    def __init__(self, path: Path, config: dict[str, Any], chosen: Providers, instances: int = 1) -> None:
        options = session_options(config)
        self._session = ort.InferenceSession(path, options, providers=chosen)
        self._rows = rows_per_run(config, options) if chosen == [CPU] else 0
        # Shared by the instances, so that one with a full batch uses the core of another that has nothing to do.
        self._workers = ThreadPoolExecutor(instances) if self._rows else None
        self._silently = silent()
        self._shrinking = None
        if options.enable_cpu_mem_arena and chosen == [CPU]:
            self._shrinking = silent()
            self._shrinking.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def run(self, outputs: Sequence[str], feeds: Feeds) -> list[npt.NDArray[Any]]:
        """The outputs named. Raises what ONNX Runtime raises."""
        rows = len(next(iter(feeds.values())))
        if not self._workers or rows <= self._rows:
            results: list[npt.NDArray[Any]] = self._session.run(outputs, feeds, self._silently)
            return results

        def part(row: int) -> list[npt.NDArray[Any]]:
            some = {name: values[row : row + self._rows] for name, values in feeds.items()}
            found: list[npt.NDArray[Any]] = self._session.run(outputs, some, self._silently)
            return found

        parts = self._workers.map(part, range(0, rows, self._rows))
        return [np.concatenate(each) for each in zip(*parts, strict=True)]

    def give_back(self, smallest: Feeds) -> None:
        """Free what the arena holds and no run uses. ONNX Runtime does that at the end of a run only."""
        if self._shrinking and smallest:
            self._session.run(None, smallest, self._shrinking)


def silent() -> ort.RunOptions:
    """Options by which ONNX Runtime does not write a failed run's text, which may quote tensors, to Triton's log."""
    options = ort.RunOptions()
    options.log_severity_level = FATAL
    return options


def session_options(config: dict[str, Any]) -> ort.SessionOptions:
    """Session options from config.pbtxt, by the native backend's names."""
    parameters = {name: value["string_value"] for name, value in config.get("parameters", {}).items()}
    options = ort.SessionOptions()
    level = config.get("optimization", {}).get("graph", {}).get("level", 0)
    options.graph_optimization_level = GRAPH_LEVELS.get(level, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
    options.intra_op_num_threads = int(parameters.get("intra_op_thread_count", 0))
    options.inter_op_num_threads = int(parameters.get("inter_op_thread_count", 0))
    if int(parameters.get("execution_mode", 0)):
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    options.enable_cpu_mem_arena = is_true(parameters.get("enable_mem_arena", "1"))
    options.enable_mem_pattern = is_true(parameters.get("enable_mem_pattern", "1"))
    # The gateway and its decoders share the cores, so threads must not spin while waiting.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def rows_per_run(config: dict[str, Any], options: ort.SessionOptions) -> int:
    """How many rows of a batch run at once, by the parameter of that name; 0: all of them.

    On one thread the rows of a batch share nothing but the weights, and together they need more memory than a core's caches hold:
    one after the other they take less time (benchmarks/batch_rows.py).
    """
    if options.intra_op_num_threads != 1 or config["max_batch_size"] <= 0:
        return 0
    return int(config.get("parameters", {}).get("rows_per_run", {"string_value": "0"})["string_value"])


def is_true(text: str) -> bool:
    return text.lower() in ("1", "true")


def providers(args: dict[str, str]) -> Providers:
    """CUDA for a GPU instance where this ONNX Runtime offers it, else the CPU. Triton has resolved KIND_AUTO by now."""
    if args["model_instance_kind"] == "GPU" and "CUDAExecutionProvider" in ort.get_available_providers():
        return [("CUDAExecutionProvider", {"device_id": args["model_instance_device_id"]}), CPU]
    return [CPU]
