# SPDX-License-Identifier: Apache-2.0
"""concept-512 on a real Triton: words in several languages find the picture, and a graph that was altered is not used."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
from imagier_client import Client, Embedding, ranked
from imagier_server import embedded
from imagier_server.metrics import Metrics
from imagier_server.model_lock import read_lock
from imagier_server.tasks import registry
from imagier_server.tasks.embedding.golden import read_golden
from imagier_server.triton import TritonEngine
from onnx import numpy_helper
from support.real_server import Server

REPOSITORY = Path(__file__).parents[2] / "model_repository"
WORDS = {
    "chelsea": ("cat", "chat domestique", "Katze", "猫", "кошка", "고양이"),
    "coffee": ("coffee", "café", "Kaffee", "咖啡", "кофе", "커피"),
    "rocket": ("rocket", "fusée", "Rakete", "火箭", "ракета", "로켓"),
}


def test_words_in_six_languages_find_their_picture(server: Server, photographs: dict[str, bytes]) -> None:
    with Client(server.address) as client:
        answers = {name: client.annotate(photographs[name], Embedding("float16")).embedding for name in WORDS}
        texts = {name: client.embed_text(words).vectors for name, words in WORDS.items()}
    pictures = {name: answer.vector for name, answer in answers.items() if answer is not None and answer.vector}
    assert {vector.space.name for vector in pictures.values()} == {"concept-512"}
    for name, vectors in texts.items():
        assert [ranked(vector, pictures)[0][0] for vector in vectors] == [name] * len(vectors)


async def test_a_triton_whose_graph_was_altered_is_not_used(tmp_path: Path, server: Server) -> None:
    """Unaltered it is: the server beside it has it ready."""
    with Client(server.address) as client:
        assert [task.ready for task in client.catalog().tasks if task.name == "embedding"] == [True]
    role = "text_embedder"
    shutil.copytree(REPOSITORY / role, tmp_path / role)
    file = tmp_path / role / "1" / "model.onnx"
    graph = onnx.load(file)
    (weight,) = (tensor for tensor in graph.graph.initializer if tensor.name == "p1.weight")
    values = numpy_helper.to_array(weight)
    noise = np.random.default_rng(0).normal(scale=0.2 * values.std(), size=values.shape)
    weight.CopyFrom(numpy_helper.from_array((values + noise).astype(np.float32), weight.name))
    onnx.save(graph, file)
    golden = read_golden(REPOSITORY, registry.load(REPOSITORY))
    models = {role: read_lock(REPOSITORY)[role]}
    async with embedded.start(tmp_path, models=[role]) as triton:
        engine = TritonEngine(triton.grpc_address, models, Metrics(), golden=golden)
        assert await engine.check() == {role: False}
        await engine.close()
