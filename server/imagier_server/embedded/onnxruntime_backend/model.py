# SPDX-License-Identifier: Apache-2.0
"""A Triton Python-based backend named `onnxruntime`: runs `<model>/<version>/model.onnx` as the native backend of that name does.

Triton runs this file in a process of each model instance; the gateway never imports it.
"""

# ruff: noqa: INP001  a folder of Triton's backend directory, no package of ours

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import openvino_session  # beside this file
import triton_python_backend_utils as pb_utils  # the stub brings it

# ONNX Runtime checks this at import. The environment of an embedded Triton sets it too.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort  # noqa: TID251

Providers = list[str | tuple[str, dict[str, str]]]
CPU = "CPUExecutionProvider"
FATAL = 4  # of ONNX Runtime's severities

# Of `optimization { graph { level } }`, as the native backend reads it.
GRAPH_LEVELS = {
    -1: ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    1: ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}

TAKEN_OVER = b"used_dltensor"
rename = ctypes.pythonapi.PyCapsule_SetName
rename.argtypes = (ctypes.py_object, ctypes.c_char_p)


class TritonPythonModel:
    """One model instance: one session of ONNX Runtime or OpenVINO."""

    @staticmethod
    def auto_complete_config(config: pb_utils.ModelConfig) -> pb_utils.ModelConfig:
        """Auto-completion: none, the file is complete."""
        return config

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph; an exception here fails the model's load, with its text in Triton's log."""
        config = json.loads(args["model_config"])
        file = config.get("default_model_filename") or "model.onnx"
        path = Path(args["model_repository"]) / args["model_version"] / file
        self.session = session(path, config, providers(args))
        self.inputs = [tensor["name"] for tensor in config["input"]]
        self.outputs = [tensor["name"] for tensor in config["output"]]
        self.batches = config["max_batch_size"] > 0
        # Fatal only: ONNX Runtime would write a failed run's text, which may quote tensors, to Triton's log.
        self.silently = ort.RunOptions()
        self.silently.log_severity_level = FATAL

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Answer the requests in order: one run per batch of Triton's, skipping cancelled requests."""
        cancelled = [request.is_cancelled() for request in requests]
        waiting = [request for request, gone in zip(requests, cancelled, strict=True) if not gone]
        groups = [waiting] if self.batches else [[request] for request in waiting]
        answers = iter([answer for group in groups if group for answer in self.answer(group)])
        return [
            failure("request cancelled", pb_utils.TritonError.CANCELLED) if gone else next(answers)
            for gone in cancelled
        ]

    def answer(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Run the requests' rows as one batch; on failure each gets the error."""
        try:
            return self.run(requests)
        except Exception as error:  # noqa: BLE001  whatever it is, the instance must live on
            # Only the kind: the text may quote tensors (an index out of range, say).
            text = f"{type(error).__name__} while the graph ran"
            return [failure(text, pb_utils.TritonError.INTERNAL) for _ in requests]

    def run(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        feeds = [
            [np.from_dlpack(pb_utils.get_input_tensor_by_name(request, name)) for name in self.inputs]
            for request in requests
        ]
        batch = feeds[0] if len(feeds) == 1 else [np.concatenate(rows) for rows in zip(*feeds, strict=True)]
        results = self.session.run(self.outputs, dict(zip(self.inputs, batch, strict=True)), self.silently)
        if len(feeds) == 1:
            return [self.response(results)]
        ends = np.cumsum([len(feed[0]) for feed in feeds])
        if any(len(result) != ends[-1] for result in results):
            raise ValueError("the graph does not answer one row for each row it is given")
        return [self.response(rows) for rows in zip(*(np.split(result, ends[:-1]) for result in results), strict=True)]

    def response(self, results: Iterable[np.ndarray]) -> pb_utils.InferenceResponse:
        tensors = [tensor(name, result) for name, result in zip(self.outputs, results, strict=True)]
        return pb_utils.InferenceResponse(tensors)


def tensor(name: str, values: np.ndarray) -> pb_utils.Tensor:
    """`values` for Triton, by DLPack: the stub was compiled for numpy 1, and reads numpy 2's arrays as empty."""
    capsule = values.__dlpack__()
    made = pb_utils.Tensor.from_dlpack(name, capsule)
    # The stub misspells the capsule name by which numpy knows that its memory was taken over.
    rename(capsule, TAKEN_OVER)
    return made


def failure(text: str, code: int) -> pb_utils.InferenceResponse:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(text, code))


def session(
    path: Path, config: dict[str, Any], chosen: Providers
) -> ort.InferenceSession | openvino_session.OpenVinoSession:
    """OpenVINO for an instance on a CPU whose config names it, else ONNX Runtime."""
    accelerated = openvino_session.accelerated(path, config) if chosen == [CPU] else None
    return accelerated or ort.InferenceSession(path, session_options(config), providers=chosen)


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


def is_true(text: str) -> bool:
    return text.lower() in ("1", "true")


def providers(args: dict[str, str]) -> Providers:
    """CUDA for a GPU instance where this ONNX Runtime offers it, else the CPU. Triton has resolved KIND_AUTO by now."""
    if args["model_instance_kind"] == "GPU" and "CUDAExecutionProvider" in ort.get_available_providers():
        return [("CUDAExecutionProvider", {"device_id": args["model_instance_device_id"]}), CPU]
    return [CPU]
