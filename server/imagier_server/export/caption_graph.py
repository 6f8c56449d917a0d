# SPDX-License-Identifier: Apache-2.0
"""Exports a decoder and its search as one ONNX graph: pixels → token ids and log-probabilities, with one `Loop`."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import torch
from onnx_ir import serde, tensor
from onnx_ir.passes.common import (
    ClearMetadataAndDocStringPass,
    DeduplicateHashedInitializersPass,
    RemoveUnusedNodesPass,
)
from torch import nn

from imagier_server.export.caption_search import CaptionSearch, SearchOptions
from imagier_server.export.errors import ExportError

OPSET = 20


def build_captioner(decoder: nn.Module, side: int, options: SearchOptions) -> onnx.ModelProto:
    """Export `decoder` (a `caption_search.Decoder` with FP32 weights) and its search, for pictures of `side` pixels.

    `pixels` UINT8 [N, side, side, 3] RGB → `token_ids` INT32 [N, C, L], `log_probabilities` FP32 [N, C], as
    `CaptionSearch`. The same weights make the same bytes. Raises `ExportError` if the decoding is not exactly one loop.
    """
    search = CaptionSearch(decoder, options).eval()
    # Two pictures: torch.export treats a batch of one as a constant.
    pixels = torch.zeros((2, side, side, 3), dtype=torch.uint8)
    with torch.inference_mode(), _quiet():
        program = torch.onnx.export(
            search,
            (pixels,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["pixels"],
            output_names=["token_ids", "log_probabilities"],
            dynamic_shapes={"pixels": {0: torch.export.Dim("N")}},
            verbose=False,
        )
    if program is None:
        raise ExportError("torch.onnx.export gave no program")
    graph = program.model
    if (loops := sum(node.op_type == "Loop" for node in graph.graph.all_nodes())) != 1:
        raise ExportError(f"the graph has {loops} loops, not one")
    # What the exporter turned round is a view, which the pass that finds equal weights does not take: those of the first token's
    # step and of the loop's body, for one.
    for value in graph.graph.initializers.values():
        if value.const_value is not None and not (array := value.const_value.numpy()).flags.c_contiguous:
            value.const_value = tensor(array.copy(), name=value.name)
    # Metadata contains paths of this machine.
    for tidy in (DeduplicateHashedInitializersPass(), RemoveUnusedNodesPass(), ClearMetadataAndDocStringPass()):
        tidy(graph)
    return serde.serialize_model(graph)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's messages about itself, such as missing optional packages."""
    noisy = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in noisy]
    try:
        for logger in noisy:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(noisy, levels, strict=True):
            logger.setLevel(level)
