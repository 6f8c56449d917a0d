# SPDX-License-Identifier: Apache-2.0
"""BLIP and Florence-2, small and with random weights: our search and its graph find what transformers' own generate finds."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from imagier_server.export.caption_graph import build_captioner
from imagier_server.export.caption_search import CaptionSearch
from imagier_server.export.catalogue import CATALOGUE
from imagier_server.export.checkpoints import assets_of, from_blip, from_florence, read_captioner
from imagier_server.export.errors import ExportError
from imagier_server.export.onnx_runtime import onnxruntime
from imagier_server.model_lock import read_lock, verify_files
from support import tiny_checkpoints
from support.tiny_checkpoints import DEVIATION, MEAN
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

CONFIGS = Path(__file__).parents[2] / "model_repository"
LIMIT = 8
KINDS = pytest.mark.parametrize("kind", ["blip", "florence"])
BEAMS = pytest.mark.parametrize("beams", [1, 3])
ENDS = {"blip": (0.0, 2.5, 5.0), "florence": (0.0, 3.0, 6.0)}


def captioner(kind, ends):
    if kind == "blip":
        return from_blip(tiny_checkpoints.blip(ends), MEAN, DEVIATION, LIMIT)
    return from_florence(tiny_checkpoints.florence(ends), [0, 5, 6, 2], MEAN, DEVIATION, LIMIT, side=16)


def pictures(side):
    return torch.randint(0, 256, (4, side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def check(found, expected):
    assert found[0].tolist() == expected[0].tolist()
    torch.testing.assert_close(found[1], expected[1], atol=1e-4, rtol=1e-5)


@BEAMS
@KINDS
@torch.inference_mode()
def test_the_search_finds_what_generate_finds_whether_captions_end_early_late_or_not(kind, beams):
    lengths = set()
    for ends in ENDS[kind]:
        model = captioner(kind, ends)
        for options in (
            replace(model.options, beams=beams, candidates=beams),
            replace(model.options, beams=beams, candidates=beams, min_tokens=4, length_penalty=0.7),
        ):
            for pixels in (pictures(model.side), pictures(model.side)[:1]):
                found = CaptionSearch(model.decoder, options)(pixels)
                check(found, model.generate(pixels, options))
                lengths |= {ids.index(options.end) if options.end in ids else LIMIT for ids in found[0][:, 0].tolist()}
    assert LIMIT in lengths
    assert min(lengths) == 0
    assert len(lengths) >= 3


@BEAMS
@KINDS
def test_the_graph_finds_what_generate_finds(kind, beams):
    model = captioner(kind, ENDS[kind][1])
    options = replace(model.options, beams=beams, candidates=beams)
    graph = build_captioner(model.decoder, model.side, options)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    for pixels in (pictures(model.side)[:1], pictures(model.side)):
        found = session.run(["token_ids", "log_probabilities"], {"pixels": pixels.numpy()})
        with torch.inference_mode():
            check([torch.from_numpy(answer) for answer in found], model.generate(pixels, options))


@KINDS
def test_a_checkpoint_is_read_from_its_folder(kind, tmp_path):
    network = getattr(tiny_checkpoints, kind)()
    tiny_checkpoints.save(network, tmp_path, 8 if kind == "blip" else 16)
    model = read_captioner(tmp_path)
    options = replace(model.options, max_tokens=5)
    pixels = pictures(model.side)
    with torch.inference_mode():
        check(CaptionSearch(model.decoder, options)(pixels), model.generate(pixels, options))


@pytest.mark.parametrize(
    ("config", "preprocessing", "text"),
    [
        (
            {"model_type": "git"},
            {"size": {"height": 8, "width": 8}},
            "a checkpoint of git; there is a way for blip and florence2",
        ),
        ({"model_type": "blip"}, {"size": {"height": 8, "width": 9}}, "the whole picture as a square"),
        (
            {"model_type": "blip"},
            {"size": {"height": 8, "width": 8}, "do_center_crop": True},
            "the whole picture as a square",
        ),
        ({}, {"size": {"height": 8, "width": 8}}, "its configuration cannot be read"),
        ({"model_type": "blip"}, {"size": {"height": 8, "width": 8}}, "the checkpoint cannot be read"),
    ],
)
def test_another_checkpoint_is_refused(tmp_path, config, preprocessing, text):
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    colours = {"image_mean": MEAN, "image_std": DEVIATION}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(colours | preprocessing), "utf-8")
    with pytest.raises(ExportError, match=text):
        read_captioner(tmp_path)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1000000\n"


@pytest.mark.parametrize(
    ("lost", "instead", "text"),
    [
        ("tokenizer*", None, "has no tokenizer"),
        ("model.safetensors", POINTER, "the checkpoint cannot be read: .*header"),
        ("model.safetensors", None, "the checkpoint cannot be read: .*"),
        ("tokenizer.json", POINTER, "the checkpoint cannot be read: .*"),
    ],
)
@KINDS
def test_a_checkpoint_that_is_not_all_there_is_refused(kind, tmp_path, lost, instead, text):
    tiny_checkpoints.save(getattr(tiny_checkpoints, kind)(), tmp_path, 8 if kind == "blip" else 16)
    for path in list(tmp_path.glob(lost)):
        path.unlink() if instead is None else path.write_bytes(instead)
    with pytest.raises(ExportError, match=text):
        assets_of(tmp_path, read_captioner(tmp_path))


def test_nobody_is_advised_to_run_what_is_in_a_file(tmp_path):
    tiny_checkpoints.save(tiny_checkpoints.blip(), tmp_path, 8)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(POINTER)
    with pytest.raises(
        ExportError, match=r"^the checkpoint cannot be read: its weights are cut short, or none of PyTorch's$"
    ):
        read_captioner(tmp_path)


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    tiny_checkpoints.save(tiny_checkpoints.blip(), tmp_path, 8)
    vocabulary = {"<pad>": 0, "<unk>": 1}
    few = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    PreTrainedTokenizerFast(tokenizer_object=few, pad_token="<pad>", unk_token="<unk>").save_pretrained(tmp_path)
    with pytest.raises(ExportError, match="a tokenizer of 2 words for a model of"):
        read_captioner(tmp_path)


def test_a_checkpoint_is_installed_by_the_command(tmp_path):
    checkpoint = tmp_path / "checkpoint"
    tiny_checkpoints.save(tiny_checkpoints.blip(2.5), checkpoint, 8)
    repository = tmp_path / "repository"
    for role in CATALOGUE:
        (repository / role).mkdir(parents=True)
        shutil.copy(CONFIGS / role / "config.pbtxt", repository / role)
    command = [Path(sys.executable).with_name("imagier"), "models", "install", f"captioner={checkpoint}"]
    answer = subprocess.run([*command, "--repository", repository], check=False, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    digest = hashlib.sha256((checkpoint / "model.safetensors").read_bytes()).hexdigest()
    assert answer.stdout.splitlines()[1:3] == [
        "captioner: own-checkpoint, a checkpoint of one's own",
        f"captioner: licence not stated, 0 MB, SHA-256 {digest}",
    ]
    assert "the tokens of transformers' generate on 4 photographs" in answer.stdout
    model = read_lock(repository)["captioner"]
    assert (model.full_version, model.licence) == (f"own-checkpoint {digest[:12]}", "not stated")
    assert verify_files(repository) == {"captioner": ()}
    config = (repository / "captioner/config.pbtxt").read_text("utf-8")
    assert re.findall(r"dims: \[ (.*) \]", config) == ["8, 8, 3", "3, 30", "3", "8, 8, 3", "8, 8, 3"]
    assert str(checkpoint) not in (repository / "models.lock").read_text("utf-8"), "it travels"
