# SPDX-License-Identifier: Apache-2.0
"""Stage 3 of an export: published weights become the graph that Triton serves, and the assets that belong to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import torch

from imagier_server.export import flickr_captioner
from imagier_server.export.caption_graph import build_captioner
from imagier_server.export.catalogue import CheckpointFolder, HubModel, ModelRow
from imagier_server.export.efficientnet_lite import build_classifier
from imagier_server.export.errors import ExportError
from imagier_server.export.ocr_graphs import (
    answer_map,
    answer_tokens,
    answer_upside_down,
    read_charset,
    read_pixels,
)

# What the ONNX Runtime of the oldest Triton we support reads.
MAX_OPSET = 20
MAX_IR = 10


@dataclass(frozen=True, slots=True)
class Converted:
    """A graph, serialised, its assets by file name, and the shape of one row of each input and output."""

    graph: bytes
    assets: Mapping[str, bytes] = field(default_factory=dict)
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)


def convert(row: ModelRow, weights: Path) -> Converted:
    """The model of `row` made from its published `weights`; the same bytes each time. Raises `ExportError`."""
    assets: dict[str, bytes] = {}
    match row.role:
        case "tagger":
            state = torch.load(weights, map_location="cpu", weights_only=True)
            model = build_classifier({name: tensor.numpy() for name, tensor in state.items()})
        case "text_detector":
            model = onnx.load(weights)
            read_pixels(model, "H", "W")
            answer_map(model)
        case "text_line_orienter":
            model = onnx.load(weights)
            read_pixels(model, 48, 192)
            answer_upside_down(model)
        case "text_recognizer":
            model = onnx.load(weights)
            read_pixels(model, 48, "W")
            answer_tokens(model)
            assets["charset.txt"] = "".join(f"{entry}\n" for entry in read_charset(model)).encode()
        case "captioner" if isinstance(row.source, HubModel | CheckpointFolder):
            # transformers takes seconds to import, and is an extra of its own.
            from imagier_server.export.checkpoints import assets_of, read_captioner  # noqa: PLC0415

            captioner = read_captioner(weights)
            model = build_captioner(captioner.decoder, captioner.side, captioner.options)
            assets |= assets_of(weights, captioner)
        case "captioner":
            network = flickr_captioner.load(weights)
            assets |= flickr_captioner.assets_of(weights, network.decoder.shape.words)
            model = build_captioner(network, flickr_captioner.SIDE, flickr_captioner.SEARCH)
        case _:
            raise ExportError(f"{row.role}: no conversion is known")
    model.producer_name, model.producer_version = "imagier", str(row.recipe)
    del model.metadata_props[:]
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"{row.role}: the converted graph is not valid ONNX: {error}") from error
    opset = max(entry.version for entry in model.opset_import)
    if opset > MAX_OPSET or model.ir_version > MAX_IR:
        raise ExportError(f"{row.role}: opset {opset} and IR {model.ir_version} are newer than Triton reads")
    shapes = {
        tensor.name: [side.dim_value for side in tensor.type.tensor_type.shape.dim[1:]]
        for tensor in (*model.graph.input, *model.graph.output)
    }
    return Converted(model.SerializeToString(deterministic=True), assets, shapes)
