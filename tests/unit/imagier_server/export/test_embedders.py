# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of every family, small and with random weights, are read as transformers reads them, or refused in one line."""

from __future__ import annotations

import json

import pytest
import torch
from imagier_server.export.comparison import photograph
from imagier_server.export.embedder_models import SAME, read_pair
from imagier_server.export.embedders import read_image_tower
from imagier_server.export.errors import ExportError
from imagier_server.messages import Picture
from imagier_server.tasks.embedding.space import Network
from PIL import Image
from support.tiny_embedders import FAMILIES, SIDE, TEXTS, rows

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1000000\n"


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_have_the_vectors_of_transformers_however_they_are_padded(family, text_tower):
    text = text_tower(family)
    for words in TEXTS:
        vector = text.source(words)[1]
        for row in rows(text, text.tokenizer.encode(words).ids):
            with torch.inference_mode():
                assert text.network(torch.tensor([row]))[0] @ vector >= SAME


def test_preparation_is_that_of_transformers_on_photographs(checkpoint):
    """The server's own preparation of a photograph, and transformers' image processor: the same vector."""
    for family in ("clip", "siglip2", "chinese_clip"):
        image = read_image_tower(checkpoint(family))
        side = Network(image.size, image.resize, Image.Resampling[image.interpolation.upper()])
        for name in ("coffee", "rocket"):
            pixels = photograph(name)
            picture = Picture(pixels, width=pixels.shape[1], height=pixels.shape[0])
            with torch.inference_mode():
                ours = image.network(torch.from_numpy(side.prepare(picture)["pixels"].copy()))[0]
            assert float(ours @ image.source(Image.fromarray(pixels))) >= SAME


@pytest.mark.parametrize(
    ("lost", "instead", "text"),
    [
        ("config.json", b"{}", "no checkpoint of transformers: config.json cannot be read"),
        (
            "config.json",
            b'{"model_type": "clap"}',
            "a checkpoint of clap; there is a way for clip, siglip, .* and M-CLIP",
        ),
        ("config.json", b'{"model_type": "siglip2"}', "a SigLIP 2 for any shape of picture"),
        ("vocab.json", None, "the checkpoint has no tokenizer"),
        ("model.safetensors", POINTER, "the checkpoint cannot be read: .*header"),
        ("preprocessor_config.json", None, "the checkpoint cannot be read"),
    ],
)
def test_a_checkpoint_that_is_not_all_there_is_refused_in_one_line(copied, lost, instead, text):
    folder = copied("clip")
    (folder / lost).unlink() if instead is None else (folder / lost).write_bytes(instead)
    with pytest.raises(ExportError, match=text) as error:
        read_pair("tiny", folder, folder)
    assert "\n" not in str(error.value)


def test_weights_that_end_early_or_lack_a_layer_are_refused(copied):
    folder = copied("clip")
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ExportError, match="the checkpoint cannot be read: "):
        read_pair("tiny", folder, folder)
    weights.write_bytes(whole)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["text_config"]["num_hidden_layers"] += 1
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(ExportError, match=r"the checkpoint lacks \d+ of its network's weights"):
        read_pair("tiny", folder, folder)


def test_a_picture_that_is_prepared_in_no_known_way_is_refused(copied):
    folder = copied("clip")
    about = json.loads((folder / "preprocessor_config.json").read_text("utf-8"))
    about["size"] = {"shortest_edge": 2 * SIDE}
    (folder / "preprocessor_config.json").write_text(json.dumps(about), "utf-8")
    with pytest.raises(ExportError, match="a network of 32 pixels whose pictures are prepared otherwise"):
        read_image_tower(folder)
