# SPDX-License-Identifier: Apache-2.0
"""Loads M-CLIP's networks for texts (Carlsson et al., LREC 2022, "Cross-lingual and Multilingual CLIP"): XLM-R in CLIP's space."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import XLMRobertaConfig, XLMRobertaModel

from imagier_server.export.errors import ExportError

KIND = "M-CLIP"
"""The `model_type` in its config.json; transformers has no network of that name."""

HEAD = 64
"""The width of an attention head in every XLM-R."""


class TextNetwork(nn.Module):
    """XLM-R, the mean over the tokens that count, and a linear layer into the space of the pictures."""

    def __init__(self, transformer: Any, projection: nn.Linear) -> None:
        super().__init__()
        self.transformer, self.projection = transformer, projection

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Tokens and mask INT64 [N, T] → features [N, D]."""
        seen = self.transformer(input_ids=tokens, attention_mask=mask).last_hidden_state
        weights = mask[..., None].to(seen.dtype)
        found: Tensor = self.projection((seen * weights).sum(1) / weights.sum(1))
        return found


def load(folder: Path) -> TextNetwork:
    """Read the network of the checkpoint in `folder`, its shape from its weights. Raises `ExportError`, `OSError`, `ValueError`."""
    base = json.loads((folder / "config.json").read_bytes()).get("modelBase", "")
    if "xlm-roberta" not in base:
        raise ExportError(f"an M-CLIP of {base or 'an unknown network'}; there is a way for xlm-roberta")
    weights = _weights(folder)
    inner = {
        name.removeprefix("transformer."): tensor for name, tensor in weights.items() if name.startswith("transformer.")
    }
    words, width = inner["embeddings.word_embeddings.weight"].shape
    config = XLMRobertaConfig(
        vocab_size=words,
        hidden_size=width,
        num_hidden_layers=1 + max(int(name.split(".")[2]) for name in inner if name.startswith("encoder.layer.")),
        num_attention_heads=width // HEAD,
        intermediate_size=len(inner["encoder.layer.0.intermediate.dense.bias"]),
        max_position_embeddings=len(inner["embeddings.position_embeddings.weight"]),
        type_vocab_size=len(inner["embeddings.token_type_embeddings.weight"]),
        layer_norm_eps=1e-5,
    )
    transformer = XLMRobertaModel(config, add_pooling_layer=False)
    missing = transformer.load_state_dict(inner, strict=False).missing_keys
    if missing:
        raise ExportError(f"the checkpoint lacks {len(missing)} of its network's weights")
    projection = nn.Linear(width, len(weights["LinearTransformation.bias"]))
    projection.load_state_dict({name: weights[f"LinearTransformation.{name}"] for name in ("weight", "bias")})
    return TextNetwork(transformer, projection).float().eval()


def _weights(folder: Path) -> dict[str, Tensor]:
    if (folder / "model.safetensors").is_file():
        return load_file(folder / "model.safetensors")
    read: dict[str, Tensor] = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
    return read
