# SPDX-License-Identifier: Apache-2.0
"""Exports a decoder and its search as one ONNX graph: pixels → token ids and log-probabilities, with one `Loop`."""

from __future__ import annotations

import onnx
import torch
from torch import nn

from imagier_server.export.caption_search import CaptionSearch, SearchOptions
from imagier_server.export.errors import ExportError
from imagier_server.export.torch_graph import tidied, traced


def build_captioner(decoder: nn.Module, side: int, options: SearchOptions) -> onnx.ModelProto:
    """Export `decoder` (a `caption_search.Decoder` with FP32 weights) and its search, for pictures of `side` pixels.

    `pixels` UINT8 [N, side, side, 3] RGB → `token_ids` INT32 [N, C, L], `log_probabilities` FP32 [N, C], as
    `CaptionSearch`. The same weights make the same bytes. Raises `ExportError` if the decoding is not exactly one loop.
    """
    search = CaptionSearch(decoder, options).eval()
    # Two pictures: torch.export treats a batch of one as a constant.
    pixels = torch.zeros((2, side, side, 3), dtype=torch.uint8)
    graph = traced(search, "pixels", pixels, ["token_ids", "log_probabilities"])
    if (loops := sum(node.op_type == "Loop" for node in graph.graph.all_nodes())) != 1:
        raise ExportError(f"the graph has {loops} loops, not one")
    return tidied(graph)
