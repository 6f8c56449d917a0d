# SPDX-License-Identifier: Apache-2.0
"""A CLIP of the size of ViT-B/32 with random weights, as a checkpoint: speed and memory are real, only what it says is not."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import pre_tokenizers
from transformers import CLIPConfig, CLIPModel

SIDE = 224
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""OpenAI's, of red, green and blue."""


def save(folder: Path) -> Path:
    """Write the checkpoint with a tokenizer of as many words as CLIP's, most of which no text has."""
    torch.manual_seed(17)
    # transformers' defaults are those of ViT-B/32.
    network = CLIPModel(CLIPConfig())
    network.save_pretrained(folder)
    words = network.config.text_config.vocab_size
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = [*alphabet, *(f"{letter}</w>" for letter in alphabet)]
    vocabulary += [f"word{number}</w>" for number in range(words - 2 - len(vocabulary))]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    ids = {token: number for number, token in enumerate(vocabulary)}
    (folder / "vocab.json").write_text(json.dumps(ids), "utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", "utf-8")
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    preparation = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": SIDE},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": SIDE, "width": SIDE},
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": MEAN,
        "image_std": DEVIATION,
        "do_convert_rgb": True,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preparation), "utf-8")
    return folder
