# SPDX-License-Identifier: Apache-2.0
"""Exports the tagger: EfficientNet-Lite2 from its published PyTorch weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from efficientnet_lite_pytorch import EfficientNet

from imagier_server.export.comparison import SCORE_TOLERANCE, answers_of, best, centre, difference, photographs
from imagier_server.export.efficientnet_lite import build_classifier
from imagier_server.export.errors import ExportError


def convert(weights: Path) -> tuple[onnx.ModelProto, Mapping[str, bytes]]:
    """The graph; it has no assets of its own."""
    state = torch.load(weights, map_location="cpu", weights_only=True)
    return build_classifier({name: tensor.numpy() for name, tensor in state.items()}), {}


def verify(role: str, weights: Path, graph: bytes) -> str:
    """Compare the scores with PyTorch's on photographs. A sentence about how close they are. Raises `ExportError`."""
    ours = answers_of(graph)
    pixels = np.stack([centre(picture, 297, 260) for picture in photographs()])
    network = EfficientNet.from_name("efficientnet-lite2")
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    network.eval()
    with torch.inference_mode():
        normalised = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127.5) / 127.5
        expected = network(normalised).softmax(dim=-1).numpy()
    scores = ours(pixels)["scores"]
    error = difference(role, scores, expected, SCORE_TOLERANCE)
    if (best(scores, 5) != best(expected, 5)).any():
        raise ExportError(f"{role}: the five best classes are not those of PyTorch")
    return f"scores within {error:.1e} of PyTorch's on {len(pixels)} photographs, the same five best"
