# SPDX-License-Identifier: Apache-2.0
"""Exports the networks of an embedder as ONNX graphs: pixels → unit vectors, tokens → unit vectors."""

from __future__ import annotations

import onnx
import torch
from torch import nn

from imagier_server.export.torch_graph import tidied, traced

# The examples have two rows: torch.export treats a batch of one as a constant.


def build_image_embedder(network: nn.Module, size: int) -> onnx.ModelProto:
    """Export `network`: `pixels` UINT8 [N, size, size, 3], RGB → `vector` FP32 [N, D], of length 1. Raises `ExportError`."""
    pixels = torch.zeros((2, size, size, 3), dtype=torch.uint8)
    return tidied(traced(network.eval(), "pixels", pixels, ["vector"]))


def build_text_embedder(network: nn.Module, context: int, *, whole: bool) -> onnx.ModelProto:
    """Export `network`: `tokens` INT64 [N, T], padded → `vector` FP32 [N, D], of length 1. Raises `ExportError`.

    T is anything up to the context, or if `whole` the context itself.
    """
    tokens = torch.zeros((2, context), dtype=torch.int64)
    free = {} if whole else {1: torch.export.Dim("T", max=context)}
    return tidied(traced(network.eval(), "tokens", tokens, ["vector"], free))
