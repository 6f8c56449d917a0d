# SPDX-License-Identifier: Apache-2.0
"""Exports a captioner of transformers, which is an extra of its own and takes seconds to import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch

from imagier_server.export.caption_graph import build_captioner
from imagier_server.export.checkpoints import assets_of, read_captioner
from imagier_server.export.comparison import SCORE_TOLERANCE, answers_of, difference, photographs, resized
from imagier_server.export.errors import ExportError


def convert(folder: Path) -> tuple[onnx.ModelProto, Mapping[str, bytes]]:
    """The graph with its search, and the tokenizer and wording that belong to it."""
    captioner = read_captioner(folder)
    return build_captioner(captioner.decoder, captioner.side, captioner.options), assets_of(folder, captioner)


def verify(role: str, folder: Path, graph: bytes) -> str:
    """Compare the installed graph and a greedy one with transformers' `generate`, alone and in a batch."""
    captioner = read_captioner(folder)
    pixels = np.stack([resized(picture, captioner.side, captioner.side) for picture in photographs()])
    greedy = replace(captioner.options, beams=1, candidates=1)
    error = 0.0
    for options in (captioner.options, greedy):
        if options is greedy:
            graph = build_captioner(captioner.decoder, captioner.side, greedy).SerializeToString()
        ours = answers_of(graph)
        for batch in (pixels[:1], pixels):
            with torch.inference_mode():
                token_ids, log_probabilities = captioner.generate(torch.from_numpy(batch), options)
            answers = ours(batch)
            if answers["token_ids"].shape != token_ids.shape or (answers["token_ids"] != token_ids.numpy()).any():
                raise ExportError(f"{role}: tokens are not those of transformers' generate")
            found = difference(role, answers["log_probabilities"], log_probabilities.numpy(), SCORE_TOLERANCE)
            error = max(error, found)
    return f"the tokens of transformers' generate on {len(pixels)} photographs, log-probabilities within {error:.1e}"
