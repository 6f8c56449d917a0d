# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imagier_server.messages import Picture
from imagier_server.model_lock import LockedModel, ModelLockError
from imagier_server.tasks.embedding.concepts import Concepts
from imagier_server.tasks.embedding.space import Network, Space
from imagier_server.tasks.embedding.values import SpaceInfo
from PIL import Image
from support import made_embedder
from support.fake_triton import locked

TAGGER = locked("tagger")
BOTH = {"tagger": TAGGER, "text_embedder": locked("text_embedder")}
IMAGE = {"size": 32, "resize": "shortest_side_crop", "interpolation": "bicubic"}


def network(folder: Path, **changed: Any) -> dict[str, LockedModel]:
    """Writes a network for pictures beside the made embedder; returns what is installed then."""
    made_embedder.write_assets(folder / "text_embedder" / "assets", TAGGER.source_digest)
    assets = folder / "image_embedder" / "assets"
    assets.mkdir(parents=True)
    space = {"name": made_embedder.NAME, "dimension": made_embedder.DIMENSION, "distance": "cosine", "image": IMAGE}
    (assets / "space.json").write_text(json.dumps(space | changed), "utf-8")
    return {**BOTH, "image_embedder": locked("image_embedder")}


def test_without_models_there_is_no_space(tmp_path: Path) -> None:
    assert Space.load(tmp_path, {"tagger": TAGGER}) is None


def test_pictures_go_by_the_tagger_if_they_have_no_network(tmp_path: Path) -> None:
    made_embedder.write_assets(tmp_path / "text_embedder" / "assets", TAGGER.source_digest)
    space = Space.load(tmp_path, BOTH)
    assert space is not None
    assert space.info == SpaceInfo("made-8", 8, "cosine")
    assert isinstance(space.image, Concepts)
    assert space.image.vectors == pytest.approx(made_embedder.concepts())
    assert space.text is not None


def test_a_network_for_pictures_goes_before_the_tagger(tmp_path: Path) -> None:
    space = Space.load(tmp_path, network(tmp_path))
    assert space is not None
    assert space.image == Network(32, "shortest_side_crop", Image.Resampling.BICUBIC)


def test_two_roles_of_two_spaces_are_refused_by_their_names(tmp_path: Path) -> None:
    with pytest.raises(ModelLockError, match="of the space other, text_embedder of made-8: install both"):
        Space.load(tmp_path, network(tmp_path, name="other"))


def test_words_for_another_tagger_are_refused(tmp_path: Path) -> None:
    made_embedder.write_assets(tmp_path / "text_embedder" / "assets", TAGGER.source_digest)
    with pytest.raises(ModelLockError, match="made for another tagger; install text_embedder again"):
        Space.load(tmp_path, {**BOTH, "tagger": replace(TAGGER, source_digest="e" * 64)})


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": "x", "dimension": 8, "distance": "cosine"}'])
def test_damaged_assets_are_said_to_be_damaged(tmp_path: Path, content: str) -> None:
    assets = tmp_path / "text_embedder" / "assets"
    made_embedder.write_assets(assets, TAGGER.source_digest)
    (assets / "space.json").write_text(content, "utf-8")
    with pytest.raises(ModelLockError, match="damaged; install"):
        Space.load(tmp_path, BOTH)


@pytest.mark.parametrize(("width", "height"), [(90, 60), (60, 91), (32, 32)])
def test_the_centre_is_cut_out_as_if_the_whole_had_been_scaled_first(width: int, height: int) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)
    made = Network(32, "shortest_side_crop", Image.Resampling.BICUBIC).prepare(Picture(pixels, width, height))["pixels"]
    shorter = min(width, height)
    scaled = (int(width * 32 / shorter), int(height * 32 / shorter))
    whole = np.asarray(Image.fromarray(pixels).resize(scaled, Image.Resampling.BICUBIC)).astype(int)
    left, top = (scaled[0] - 32) // 2, (scaled[1] - 32) // 2
    assert (
        abs(made[0].astype(int) - whole[top : top + 32, left : left + 32]).max() <= 6
    )  # of noise, which half a pixel would change by a hundred


def test_the_whole_is_squashed() -> None:
    pixels = np.zeros((10, 80, 3), np.uint8)
    pixels[:, 40:] = 255
    made = Network(32, "squash", Image.Resampling.BILINEAR).prepare(Picture(pixels, 80, 10))["pixels"]
    assert made.shape == (1, 32, 32, 3)
    assert made[0, :, :12].max() == 0
    assert made[0, :, 20:].min() == 255
