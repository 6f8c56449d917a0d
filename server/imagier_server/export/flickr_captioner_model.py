# SPDX-License-Identifier: Apache-2.0
"""Exports the default captioner: our own decoder on the tagger's backbone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch

from imagier_server.export import flickr_captioner
from imagier_server.export.caption_graph import build_captioner
from imagier_server.export.caption_search import CaptionSearch
from imagier_server.export.comparison import SCORE_TOLERANCE, answers_of, difference, photographs, resized
from imagier_server.export.errors import ExportError


def convert(weights: Path) -> tuple[onnx.ModelProto, Mapping[str, bytes]]:
    """The graph with its search, and what lies beside the weights."""
    network = flickr_captioner.load(weights)
    graph = build_captioner(network, flickr_captioner.SIDE, flickr_captioner.SEARCH)
    return graph, flickr_captioner.assets_of(weights, network.decoder.shape.words)


def verify(role: str, weights: Path, graph: bytes) -> str:
    """Compare the captions with PyTorch's, token by token. A sentence about how close they are. Raises `ExportError`."""
    ours = answers_of(graph)
    pixels = np.stack([resized(picture, flickr_captioner.SIDE, flickr_captioner.SIDE) for picture in photographs()])
    search = CaptionSearch(flickr_captioner.load(weights), flickr_captioner.SEARCH)
    with torch.inference_mode():
        token_ids, log_probabilities = (answer.numpy() for answer in search(torch.from_numpy(pixels)))
    answers = ours(pixels)
    if (answers["token_ids"] != token_ids).any():
        raise ExportError(f"{role}: tokens are not those of PyTorch")
    error = difference(role, answers["log_probabilities"], log_probabilities, SCORE_TOLERANCE)
    captions = len(pixels) * flickr_captioner.SEARCH.candidates
    return f"PyTorch's {captions} captions token by token, log-probabilities within {error:.1e}"
