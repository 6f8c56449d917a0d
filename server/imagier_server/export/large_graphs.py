# SPDX-License-Identifier: Apache-2.0
"""Writes graphs that are too large for one file, which protobuf ends at 2 GB: their weights go to a second one beside it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
from onnx import TensorProto

from imagier_server.export.onnx_runtime import onnxruntime

GRAPH, WEIGHTS = "model.onnx", "model.weights"
LARGEST = 1 << 30
"""Bytes of weights in one file: half of what protobuf takes."""

_SMALL = 1024
"""Weights below stay in the graph: they may be shapes, which its check reads."""
_ALIGNMENT = 4096
"""So that ONNX Runtime can map the file into memory."""


def detached(model: onnx.ModelProto) -> bytes:
    """Take the weights out of `model` if they are more than `LARGEST`, leaving references to the file `WEIGHTS`; else nothing."""
    tensors = [tensor for tensor in model.graph.initializer if len(tensor.raw_data) > _SMALL]
    if sum(len(tensor.raw_data) for tensor in tensors) <= LARGEST:
        return b""
    weights = bytearray()
    for tensor in tensors:
        weights.extend(bytes(-len(weights) % _ALIGNMENT))
        place = {"location": WEIGHTS, "offset": str(len(weights)), "length": str(len(tensor.raw_data))}
        weights += tensor.raw_data
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in place.items():
            tensor.external_data.add(key=key, value=value)
    return bytes(weights)


def check(model: onnx.ModelProto, weights: bytes) -> None:
    """ONNX's own check of `model`. Raises `onnx.checker.ValidationError`, `onnx.shape_inference.InferenceError`."""
    if not weights:
        onnx.checker.check_model(model, full_check=True)
        return
    with TemporaryDirectory(prefix="imagier-") as folder:
        onnx.checker.check_model(str(_written(Path(folder), model.SerializeToString(), weights)), full_check=True)


def session(graph: bytes, weights: bytes) -> Any:
    """A session of ONNX Runtime with the graph and what lies beside it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not weights:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    with TemporaryDirectory(prefix="imagier-") as folder:
        path = _written(Path(folder), graph, weights)
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _written(folder: Path, graph: bytes, weights: bytes) -> Path:
    (folder / GRAPH).write_bytes(graph)
    (folder / WEIGHTS).write_bytes(weights)
    return folder / GRAPH
