# SPDX-License-Identifier: Apache-2.0
"""A Triton Python-based backend named `onnxruntime`: runs `<model>/<version>/model.onnx` as the native backend of that name does.

Triton runs this file in a process of each model instance; the gateway never imports it.
"""

# ruff: noqa: INP001  a folder of Triton's backend directory, no package of ours

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils  # the stub brings it

# Of `optimization { graph { level } }`, as the native backend reads it.
GRAPH_LEVELS = {
    -1: ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    1: ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}


class TritonPythonModel:
    """One model instance: one ONNX Runtime session."""

    @staticmethod
    def auto_complete_config(config: pb_utils.ModelConfig) -> pb_utils.ModelConfig:
        """The file says all; nothing is guessed."""
        return config

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph; an exception here fails the model's load, with its text in Triton's log."""
        config = json.loads(args["model_config"])
        file = config.get("default_model_filename") or "model.onnx"
        path = Path(args["model_repository"]) / args["model_version"] / file
        self.session = ort.InferenceSession(path, session_options(config), providers=providers(args))
        self.inputs = [tensor["name"] for tensor in config["input"]]
        self.outputs = [tensor["name"] for tensor in config["output"]]
        self.batches = config["max_batch_size"] > 0

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Answer each request, in order: those that Triton batched as one run, the cancelled ones not at all."""
        cancelled = [request.is_cancelled() for request in requests]
        waiting = [request for request, gone in zip(requests, cancelled, strict=True) if not gone]
        groups = [waiting] if self.batches else [[request] for request in waiting]
        answers = iter([answer for group in groups if group for answer in self.answer(group)])
        return [
            failure("request cancelled", pb_utils.TritonError.CANCELLED) if gone else next(answers)
            for gone in cancelled
        ]

    def answer(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Run the requests' rows as one batch; a failure is the answer to each of them."""
        try:
            return self.run(requests)
        except Exception as error:  # noqa: BLE001  whatever it is, the instance must live on
            return [failure(str(error), pb_utils.TritonError.INTERNAL) for _ in requests]

    def run(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        feeds = [
            [pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs]
            for request in requests
        ]
        batch = feeds[0] if len(feeds) == 1 else [np.concatenate(rows) for rows in zip(*feeds, strict=True)]
        results = self.session.run(self.outputs, dict(zip(self.inputs, batch, strict=True)))
        if len(feeds) == 1:
            return [self.response(results)]
        ends = np.cumsum([len(feed[0]) for feed in feeds])
        if any(len(result) != ends[-1] for result in results):
            raise ValueError("the graph does not answer one row for each row it is given")
        return [self.response(rows) for rows in zip(*(np.split(result, ends[:-1]) for result in results), strict=True)]

    def response(self, results: Iterable[np.ndarray]) -> pb_utils.InferenceResponse:
        tensors = [pb_utils.Tensor(name, result) for name, result in zip(self.outputs, results, strict=True)]
        return pb_utils.InferenceResponse(tensors)


def failure(text: str, code: int) -> pb_utils.InferenceResponse:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(text, code))


def session_options(config: dict[str, Any]) -> ort.SessionOptions:
    """What config.pbtxt says, by the native backend's names."""
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
    # The cores are shared with the gateway and its decoders: a thread that waits by spinning would take one from them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def is_true(text: str) -> bool:
    return text.lower() in ("1", "true")


def providers(args: dict[str, str]) -> list[str | tuple[str, dict[str, str]]]:
    """CUDA for a GPU instance where this ONNX Runtime offers it, else the CPU. Triton has resolved KIND_AUTO by now."""
    if args["model_instance_kind"] == "GPU" and "CUDAExecutionProvider" in ort.get_available_providers():
        return [("CUDAExecutionProvider", {"device_id": args["model_instance_device_id"]}), "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]
