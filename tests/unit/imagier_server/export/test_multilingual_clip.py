# SPDX-License-Identifier: Apache-2.0
"""M-CLIP's networks for texts, which transformers has no class for: read from their weights, or refused."""

from __future__ import annotations

import json

import pytest
import torch
from imagier_server.export.errors import ExportError
from imagier_server.export.multilingual_clip import load
from safetensors.torch import load_file, save_file


@pytest.fixture
def folder(copied):
    return copied("multilingual_clip") / "textual"


def test_the_mean_is_over_the_tokens_that_count(folder):
    network = load(folder)
    tokens, mask = torch.tensor([[0, 5, 6, 2, 1, 1]]), torch.tensor([[1, 1, 1, 1, 0, 0]])
    with torch.inference_mode():
        seen = network.transformer(input_ids=tokens[:, :4]).last_hidden_state.mean(1)
        torch.testing.assert_close(network(tokens, mask), network.projection(seen))


def test_the_shape_is_that_of_the_weights(folder):
    config = load(folder).transformer.config
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (2, 64, 1)


def test_weights_as_pytorch_writes_them_are_read_too(folder):
    expected = load(folder).projection.weight
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert torch.equal(load(folder).projection.weight, expected)


def test_another_network_than_xlm_r_is_refused(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "M-CLIP", "modelBase": "LaBSE"}), "utf-8")
    with pytest.raises(ExportError, match="an M-CLIP of LaBSE; there is a way for xlm-roberta"):
        load(folder)


def test_weights_that_lack_one_are_refused(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["transformer.encoder.layer.1.output.dense.bias"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ExportError, match="lacks 1 of its network's weights"):
        load(folder)
