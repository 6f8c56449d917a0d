# SPDX-License-Identifier: Apache-2.0
"""Stage 3 of an export: converts published weights into the graph for Triton and its assets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import onnx

from imagier_server.export import denormals
from imagier_server.export.errors import ExportError
from imagier_server.export.large_graphs import check, detached
from imagier_server.export.model_row import ModelRow

# What the ONNX Runtime of the oldest Triton we support reads.
MAX_OPSET = 20
MAX_IR = 10


@dataclass(frozen=True, slots=True)
class Converted:
    """A graph, serialised, its assets by file name, and the shape of one row of each input and output.

    `weights`, to lie beside the graph, are empty unless the graph alone would be too large for one file.
    """

    graph: bytes
    assets: Mapping[str, bytes] = field(default_factory=dict)
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    weights: bytes = b""


def named(function: str) -> Callable[..., Any]:
    """Import the function that a catalogue row names."""
    found: Callable[..., Any] = resolve_name(f"imagier_server.export.{function}")
    return found


def convert(row: ModelRow, weights: Path, repository: Path) -> Converted:
    """Convert the published `weights` of `row`; reproducible byte by byte. Raises `ExportError`."""
    model, assets = named(row.convert)(weights, *(repository / role for role in row.beside))
    return finished(row, model, assets)


def finished(row: ModelRow, model: onnx.ModelProto, assets: Mapping[str, bytes]) -> Converted:
    """Flush the denormals of `model`, check it, and serialise it. Raises `ExportError`."""
    denormals.flush(model)
    if left := denormals.remaining(model):
        raise ExportError(f"{row.role}: {left} denormal weights remain in the converted graph")
    model.producer_name, model.producer_version = "imagier", str(row.recipe)
    del model.metadata_props[:]
    weights = detached(model)
    try:
        check(model, weights)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"{row.role}: the converted graph is not valid ONNX: {error}") from error
    opset = max(entry.version for entry in model.opset_import)
    if opset > MAX_OPSET or model.ir_version > MAX_IR:
        raise ExportError(f"{row.role}: opset {opset} and IR {model.ir_version} are newer than Triton reads")
    shapes = {
        # A side without a fixed length is -1 to Triton.
        tensor.name: [side.dim_value or -1 for side in tensor.type.tensor_type.shape.dim[1:]]
        for tensor in (*model.graph.input, *model.graph.output)
    }
    return Converted(model.SerializeToString(deterministic=True), assets, shapes, weights)
