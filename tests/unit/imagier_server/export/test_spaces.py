# SPDX-License-Identifier: Apache-2.0
"""The spaces by name: what is on the hub, and what is asked of a folder."""

from __future__ import annotations

import re

import pytest
from imagier_server.export.errors import ExportError
from imagier_server.export.model_row import CheckpointFolder, HubModel
from imagier_server.export.spaces import SPACES, find, is_space
from imagier_server.tasks.embedding.immich_names import DIMENSIONS


def test_what_is_on_the_hub_is_named_and_licensed():
    for name, space in SPACES.items():
        assert space.name == name
        assert name in DIMENSIONS or name.startswith("chinese-clip-")
        assert re.fullmatch(r"[\w-]+/[\w.-]+", space.image.name)
        assert space.licence
        assert space.terms
    two = SPACES["XLM-Roberta-Large-Vit-B-32"]
    assert two.image == SPACES["ViT-B-32__openai"].image
    assert two.text != two.image
    assert {"fr", "zh"} <= set(two.languages)


def test_a_folder_is_a_space_of_its_digest_or_of_a_name_for_it(tmp_path):
    assert is_space(str(tmp_path))
    space = find(str(tmp_path), "")
    assert (space.name, space.image, space.text) == ("", CheckpointFolder(tmp_path), CheckpointFolder(tmp_path))
    assert find(str(tmp_path), "ViT-B-32__openai").licence == "not stated", "whatever it is called"


def test_networks_published_apart_lie_in_two_folders(tmp_path):
    for part in ("visual", "textual"):
        (tmp_path / part).mkdir()
    space = find(str(tmp_path), "mine")
    assert (space.image, space.text) == (CheckpointFolder(tmp_path / "visual"), CheckpointFolder(tmp_path / "textual"))


@pytest.mark.parametrize("wanted", ["tagger", "captioner=blip-base", "captioner=/tmp", "nothing-of-the-kind"])
def test_what_names_no_space_is_none(wanted):
    assert not is_space(wanted)


def test_a_name_without_known_weights_is_told_the_way_by_a_folder():
    assert is_space("RN50__openai")
    with pytest.raises(ExportError, match="imagier models install FOLDER --as RN50__openai"):
        find("RN50__openai", "")


@pytest.mark.parametrize("name", ["", "ViT-B-32__openai"])
def test_a_name_on_the_hub_is_taken_from_there_and_not_renamed(name):
    if name:
        with pytest.raises(ExportError, match="--as names what is in a folder; ViT-L-14__openai is none"):
            find("ViT-L-14__openai", name)
    else:
        assert isinstance(find("ViT-L-14__openai", name).image, HubModel)


@pytest.mark.parametrize("name", ["../up", "a b", "x" * 65, "-rf"])
def test_a_name_that_is_no_name_is_refused(tmp_path, name):
    with pytest.raises(ExportError, match="--as takes up to 64 letters"):
        find(str(tmp_path), name)
