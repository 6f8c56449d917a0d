# SPDX-License-Identifier: Apache-2.0
"""Exports networks of PyTorch as ONNX graphs that are the same bytes for the same weights, with each weight once."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from onnx_ir import Model, serde, tensor
from onnx_ir.passes.common import (
    ClearMetadataAndDocStringPass,
    DeduplicateHashedInitializersPass,
    RemoveUnusedNodesPass,
)
from torch import nn

from imagier_server.export.errors import ExportError

OPSET = 20


def traced(
    network: nn.Module, name: str, example: torch.Tensor, outputs: Sequence[str], free: Mapping[int, Any] | None = None
) -> Model:
    """The graph of `network` with the input `name`, shaped like `example` in all but its batch N and its `free` sides.

    Raises `ExportError`.
    """
    with torch.inference_mode(), _quiet():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[name],
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim("N"), **(free or {})},),
            verbose=False,
        )
    if program is None:
        raise ExportError("torch.onnx.export gave no program")
    return program.model


def tidied(graph: Model) -> onnx.ModelProto:
    """`graph` with each weight once, without what no output needs and without metadata."""
    # What the exporter turned round is a view, which the pass that finds equal weights does not take: those of a captioner's first
    # step and of its loop's body, for one.
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
