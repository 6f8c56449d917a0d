# SPDX-License-Identifier: Apache-2.0
"""A small CLIP with random weights before the real Triton: installed by the command, its vectors are those of transformers."""

from __future__ import annotations

import asyncio
import io
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from imagier.v1 import annotator_pb2, catalog_pb2, embedding_pb2
from imagier_server import embedded
from imagier_server.export import install_models, large_graphs
from imagier_server.export.embedders import read_image_tower, read_text_tower
from imagier_server.model_lock import LOCK_NAME, read_lock, write_lock_text
from PIL import Image
from support import tiny_embedders
from support.real_server import REPOSITORY, encoded
from support.running_gateway import Gateway, gateway
from tokenizers import Tokenizer

ROLES = ("image_embedder", "text_embedder")
SAME = 0.9999
PATIENCE = 120


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return tiny_embedders.clip(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def models(tmp_path_factory, checkpoint: Path) -> Path:
    """The repository with the networks of `checkpoint`, and what the other tasks need to be loaded."""
    folder = tmp_path_factory.mktemp("models")
    for role in ROLES:
        (folder / role).mkdir()
        shutil.copy(REPOSITORY / role / "config.pbtxt", folder / role)
    others = {role: model for role, model in read_lock(REPOSITORY).items() if role not in ROLES}
    for role in others:
        (folder / role).mkdir()
        (folder / role / "assets").symlink_to(REPOSITORY / role / "assets")
    (folder / LOCK_NAME).write_text(write_lock_text(others), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        # As those of large networks, the weights lie beside the graph: Triton has to find them.
        patch.setattr(large_graphs, "LARGEST", 1000)
        install_models(folder, [str(checkpoint)], name="tiny")
    assert all((folder / role / "1/model.weights").stat().st_size > 1000 for role in ROLES)
    return folder


@pytest.fixture
async def running(models: Path, unused_tcp_port_factory: Callable[[], int]) -> AsyncIterator[Gateway]:
    async with (
        embedded.start(models, grpc_port=("127.0.0.1", port := unused_tcp_port_factory())),
        gateway(models, port, unused_tcp_port_factory()) as served,
    ):
        async with asyncio.timeout(PATIENCE):
            while not (await catalogued(served)).ready:
                await served.ready()
        yield served


async def catalogued(served: Gateway) -> catalog_pb2.TaskInfo:
    catalog = await served.stub.GetCatalog(catalog_pb2.GetCatalogRequest())
    return next(task for task in catalog.tasks if task.name == "embedding")


async def test_texts_and_pictures_have_the_vectors_of_transformers(
    running: Gateway, checkpoint: Path, photographs: dict[str, bytes]
) -> None:
    text, image = read_text_tower(checkpoint), read_image_tower(checkpoint)
    words = [each for each in tiny_embedders.TEXTS if each]
    answer = await running.stub.EmbedText(embedding_pb2.EmbedTextRequest(texts=words))
    assert (answer.space.name, answer.space.dimension) == ("tiny", tiny_embedders.DIMENSION)
    whole = Tokenizer.from_str(text.tokenizer.to_str())
    whole.no_truncation()
    too_long = [len(whole.encode(each).ids) > text.context for each in words]
    assert [each.truncated for each in answer.embeddings] == too_long
    assert len(set(too_long)) == 2, "short and long texts"
    for each, found in zip(words, answer.embeddings, strict=True):
        assert np.array(found.vector.values) @ text.source(each)[1].numpy() >= SAME
    for name in ("chelsea", "rocket"):
        seen = await running.stub.Annotate(
            annotator_pb2.AnnotateRequest(image=photographs[name], embedding=embedding_pb2.EmbeddingOptions())
        )
        assert seen.embedding.status.code == 0
        assert seen.embedding.space == answer.space
        photograph = Image.open(io.BytesIO(photographs[name])).convert("RGB")
        assert np.array(seen.embedding.vector.values) @ image.source(photograph).numpy() >= SAME
    # Already of the network's size: nothing is scaled.
    small = Image.open(io.BytesIO(photographs["coffee"])).convert("RGB").resize((tiny_embedders.SIDE,) * 2)
    seen = await running.stub.Annotate(
        annotator_pb2.AnnotateRequest(image=encoded(small), embedding=embedding_pb2.EmbeddingOptions())
    )
    assert np.array(seen.embedding.vector.values) @ image.source(small).numpy() >= SAME
