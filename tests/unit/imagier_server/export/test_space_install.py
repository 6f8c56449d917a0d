# SPDX-License-Identifier: Apache-2.0
"""The installation of a space before its networks are loaded: what is asked first, and what is left alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from imagier_server import export
from imagier_server.export import ExportError, State
from imagier_server.export.install import Installation, install_together
from imagier_server.export.space_install import ROLES, is_current
from imagier_server.export.spaces import SPACES
from imagier_server.model_lock import read_lock
from support.hub import environment, serving

CONFIGS = Path(__file__).parents[4] / "model_repository"
SPACE = SPACES["ViT-B-32__openai"]
GRAPHS = [f"{role}/1/model.onnx" for role in ROLES]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for role in {*export.CATALOGUE, *ROLES}:
        (tmp_path / "models" / role).mkdir(parents=True)
        shutil.copy(CONFIGS / role / "config.pbtxt", tmp_path / "models" / role)
    return tmp_path / "models"


@pytest.fixture
def installed(repository: Path) -> Path:
    rows = [SPACE.row(role, source) for role, source in zip(ROLES, (SPACE.image, SPACE.text), strict=True)]
    install_together(repository, [Installation(row, {"1/model.onnx": b"graph"}) for row in rows], {})
    return repository


def test_a_space_of_the_hub_that_is_installed_is_current_and_nothing_is_asked(installed):
    lines: list[str] = []
    assert is_current(installed, SPACE, read_lock(installed))
    export.install_models(installed, [SPACE.name], on_progress=lines.append)
    assert lines == [f"{SPACE.name}: current"]


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_space_of_which_half_is_damaged_is_not_current(installed, graph):
    (installed / graph).write_bytes(b"other")
    assert not is_current(installed, SPACE, read_lock(installed))


def test_the_list_says_which_space_is_installed(installed):
    standings = export.status(installed)
    for role in ROLES:
        standing = standings[role]
        assert (standing.state, standing.brand) == (State.CURRENT, SPACE.name)
        assert standing.row is not None
        assert standing.row.weights_licence == "MIT"


def test_what_is_installed_by_name_is_kept_when_all_is_installed(installed, monkeypatch):
    monkeypatch.setattr(export, "CATALOGUE", {"text_embedder": export.CATALOGUE["text_embedder"]})
    lines: list[str] = []
    export.install_models(installed, on_progress=lines.append)
    assert lines == [f"text_embedder: {SPACE.name} kept"]


def test_a_folder_that_is_no_checkpoint_is_refused_and_both_roles_stay(installed, tmp_path):
    before = read_lock(installed)
    with pytest.raises(ExportError, match="it is no checkpoint of transformers"):
        export.install_models(installed, [str(tmp_path)])
    assert read_lock(installed) == before


def test_a_repository_without_the_roles_is_refused(installed):
    (installed / "image_embedder" / "config.pbtxt").unlink()
    (installed / GRAPHS[0]).unlink()
    with pytest.raises(ExportError, match=r"no image_embedder/config\.pbtxt"):
        export.install_models(installed, [SPACE.name])


@pytest.mark.parametrize("wanted", [["tagger"], [], ["ViT-B-32__openai", "tagger"]])
def test_a_name_is_for_one_folder_only(repository, wanted):
    with pytest.raises(ExportError, match="--as names"):
        export.install_models(repository, wanted, name="mine")


def test_a_space_is_taken_from_the_hub_by_its_name_and_refused_if_it_is_not_what_the_name_promises(
    installed, checkpoint
):
    """SigLIP: its tokenizer is a file of its own kind, and it has 768 dimensions; this one has 24."""
    before = read_lock(installed)
    command = [Path(sys.executable).with_name("imagier"), "models", "install", "ViT-B-16-SigLIP__webli"]
    with serving(checkpoint("siglip"), "google/siglip-base-patch16-224", "c" * 40) as hub:
        answer = subprocess.run(
            [*command, "--repository", installed],
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | environment(hub),
        )
    assert answer.returncode == 1
    lines = answer.stdout.splitlines()
    assert lines[0].startswith("NOTICE: Weights by Google")
    at = "https://huggingface.co/google/siglip-base-patch16-224/tree/" + "c" * 40
    assert lines[1].startswith(f"ViT-B-16-SigLIP__webli: {at}, licence Apache-2.0, 0 MB, SHA-256 ")
    assert "has vectors of 768 numbers, this checkpoint of 24" in answer.stderr, "its tokenizer was read, too"
    assert read_lock(installed) == before
