# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from imagier_server.model_lock import LOCK_NAME, ModelLockError, write_lock_text
from imagier_server.tasks.embedding.golden import read_golden
from imagier_server.tasks.embedding.task import EmbeddingTask
from support import made_embedder
from support.fake_triton import locked


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    made_embedder.write_assets(tmp_path / "text_embedder" / "assets", locked("tagger").source_digest)
    roles = {role: locked(role) for role in ("tagger", "text_embedder")}
    (tmp_path / LOCK_NAME).write_text(write_lock_text(roles), "utf-8")
    return tmp_path


def test_texts_are_tokenised_and_pictures_asked_of_the_tagger(repository: Path) -> None:
    scores = np.eye(1, made_embedder.CLASSES, dtype=np.float32)
    made_embedder.write_golden(repository / "text_embedder" / "assets", ("red car", "cat"), scores)
    found = read_golden(repository, {"embedding": EmbeddingTask.load(repository)})
    (texts,), (pictures,) = found["text_embedder"], found["tagger"]
    assert texts.agrees({"vector": made_embedder.embedded(np.asarray(texts.inputs["tokens"]))})
    assert not texts.agrees({"vector": made_embedder.embedded(np.asarray(texts.inputs["tokens"][::-1]))})
    assert pictures.inputs["pixels"].shape == (1, 260, 260, 3)
    assert pictures.agrees({"scores": scores})


def test_without_a_space_there_is_nothing_to_ask(tmp_path: Path) -> None:
    assert read_golden(tmp_path, {"embedding": EmbeddingTask()}) == {}


def test_damaged_pairs_are_said_to_be_damaged(repository: Path) -> None:
    (repository / "text_embedder" / "assets" / "golden.npz").write_bytes(b"PK")
    with pytest.raises(ModelLockError, match="golden pairs of the embedders are damaged"):
        read_golden(repository, {"embedding": EmbeddingTask.load(repository)})
