# SPDX-License-Identifier: Apache-2.0
"""BLIP and Florence-2 with random weights, small enough for tests, and as checkpoints in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    Florence2Config,
    Florence2ForConditionalGeneration,
    PreTrainedTokenizerFast,
)

WORDS = 40
MEAN, DEVIATION = [0.5, 0.45, 0.4], [0.25, 0.26, 0.27]


def blip(ends: float = 0.0) -> BlipForConditionalGeneration:
    """With 8 pixels a side; `ends` makes the end token, 3, likelier."""
    text = {
        "vocab_size": WORDS,
        "hidden_size": 16,
        "encoder_hidden_size": 12,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 40,
        "bos_token_id": WORDS - 2,
        "sep_token_id": 3,
        "pad_token_id": 0,
        "eos_token_id": 2,
        "is_decoder": True,
    }
    vision = {
        "hidden_size": 12,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 8,
        "patch_size": 4,
    }
    network = _random(
        BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision, projection_dim=8))
    )
    network.text_decoder.cls.predictions.bias.data[3] += ends
    return network


def florence(ends: float = 0.0) -> Florence2ForConditionalGeneration:
    """With 16 pixels a side; `ends` makes the end token, 2, likelier."""
    text = {
        "model_type": "bart",
        "vocab_size": WORDS,
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 24,
        "max_position_embeddings": 64,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "forced_eos_token_id": 2,
    }
    vision = {
        "depths": (1, 1),
        "patch_size": (7, 3),
        "patch_stride": (4, 2),
        "patch_padding": (3, 1),
        "patch_prenorm": (False, True),
        "embed_dim": (8, 16),
        "num_heads": (2, 2),
        "num_groups": (2, 2),
        "window_size": 3,
        "projection_dim": 16,
        "max_position_embeddings": 8,
    }
    config = Florence2Config(text_config=text, vision_config=vision, image_token_id=WORDS - 1)
    network = _random(Florence2ForConditionalGeneration(config))
    # Its head has no bias of its own: the last layer leans towards the end's word vector instead.
    towards = network.lm_head.weight.data[2]
    network.model.language_model.decoder.layers[-1].final_layer_norm.bias.data += (
        ends * towards / towards.square().sum()
    )
    return network


def save(network: BlipForConditionalGeneration | Florence2ForConditionalGeneration, folder: Path, side: int) -> Path:
    """A checkpoint as the hub has them."""
    network.save_pretrained(folder)
    vocabulary = {"<pad>": 0, "<unk>": 1} | {f"word{number}": number for number in range(2, WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>").save_pretrained(folder)
    about = {"image_mean": MEAN, "image_std": DEVIATION, "size": {"height": side, "width": side}}
    (folder / "preprocessor_config.json").write_text(json.dumps(about), "utf-8")
    return folder


def _random(network):
    generator = torch.Generator().manual_seed(7)
    for weight in network.parameters():
        if weight.dim() > 1:
            weight.data = torch.randn(weight.shape, generator=generator) * 0.35
    return network
