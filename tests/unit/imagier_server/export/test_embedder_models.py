# SPDX-License-Identifier: Apache-2.0
"""Both networks of a space by the one command: verified, installed together, or not at all."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from imagier_server.export import install_models
from imagier_server.export.comparison import run, session
from imagier_server.export.embedder_models import SAME, drawn, read_pair
from imagier_server.export.errors import ExportError
from imagier_server.export.spaces import IMAGE_EMBEDDER, TEXT_EMBEDDER
from imagier_server.model_lock import read_lock, verify_files
from support import tiny_embedders
from support.tiny_embedders import DIMENSION

CONFIGS = Path(__file__).parents[4] / "model_repository"
ROLES = (IMAGE_EMBEDDER, TEXT_EMBEDDER)


def test_the_drawn_pictures_are_of_the_size_and_two():
    pictures = drawn(17)
    assert (pictures.shape, pictures.dtype) == ((2, 17, 17, 3), np.uint8)
    assert (pictures[0] != pictures[1]).any()
    assert all(len(np.unique(picture)) > 50 for picture in pictures)


def test_networks_of_two_spaces_are_refused(checkpoint, tmp_path):
    visual = tiny_embedders.clip(tmp_path / "visual", dimension=DIMENSION + 4)
    with pytest.raises(ExportError, match="vectors of 20 numbers, texts of 16: these are not networks of one space"):
        read_pair("tiny", visual, tiny_embedders.textual(checkpoint("multilingual_clip")))


def test_a_name_of_immich_is_refused_to_networks_of_another_dimension(checkpoint):
    folder = checkpoint("clip")
    with pytest.raises(ExportError, match="ViT-B-32__openai has vectors of 512 numbers, this checkpoint of 16"):
        read_pair("ViT-B-32__openai", folder, folder)


def test_both_networks_are_installed_by_one_command(copied, tmp_path):
    repository = tmp_path / "repository"
    for role in ROLES:
        (repository / role).mkdir(parents=True)
        shutil.copy(CONFIGS / role / "config.pbtxt", repository / role)
    checkpoint = copied("clip")
    command = [Path(sys.executable).with_name("imagier"), "models", "install", checkpoint, "--repository", repository]
    answer = subprocess.run([*command, "--as", "tiny"], check=False, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert re.search(
        r"8 photographs and \d+ texts in six scripts as in transformers: cosine 0\.9999|1\.0", answer.stdout
    )
    assert verify_files(repository) == dict.fromkeys(ROLES, ())
    lock = read_lock(repository)
    assert {(model.brand, model.licence) for model in lock.values()} == {("tiny", "not stated")}
    assert str(checkpoint) not in (repository / "models.lock").read_text("utf-8"), "it travels"
    spaces = [(repository / role / "assets/space.json").read_bytes() for role in ROLES]
    assert spaces[0] == spaces[1]
    assert json.loads(spaces[0])["dimension"] == DIMENSION
    configs = [(repository / role / "config.pbtxt").read_text("utf-8") for role in ROLES]
    assert re.findall(r"dims: \[ (.*) \]", configs[0]) == ["32, 32, 3", "16", "32, 32, 3", "32, 32, 3"]
    assert re.findall(r"dims: \[ (.*) \]", configs[1]) == ["-1", "16", "8", "32", "8"]
    golden = np.load(repository / IMAGE_EMBEDDER / "assets/golden.npz")
    runtime = session((repository / IMAGE_EMBEDDER / "1/model.onnx").read_bytes())
    assert (run(runtime, {"pixels": golden["pixels"]})["vector"] * golden["vectors"]).sum(1).min() >= SAME
    # A second one that cannot be had leaves the first as it is.
    (checkpoint / "vocab.json").unlink()
    with pytest.raises(ExportError, match="the checkpoint has no tokenizer"):
        install_models(repository, [str(checkpoint)])
    assert read_lock(repository) == lock
    assert verify_files(repository) == dict.fromkeys(ROLES, ())
