# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from imagier_server.errors import InternalError, InvalidRequestError
from imagier_server.messages import Picture, Tensors
from imagier_server.tasks.embedding.concepts import Concepts
from imagier_server.tasks.embedding.space import Network, Space
from imagier_server.tasks.embedding.task import ConceptTask, EmbeddingTask, NetworkTask, finish
from imagier_server.tasks.embedding.values import EmbeddingOptions, Encoding, SpaceInfo
from PIL import Image
from support import made_embedder
from support.made_embedder import CLASSES, DIMENSION

INFO = SpaceInfo("made-8", DIMENSION)
CONCEPTS = Space(INFO, Concepts(made_embedder.concepts(), 10), None)
NETWORK = Space(INFO, Network(32, "squash", Image.Resampling.BICUBIC), None)
PICTURE = Picture(np.zeros((300, 400, 3), np.uint8), 400, 300)


class Steps:
    """Runs everything at once, and answers as a model would."""

    def __init__(self, outputs: Tensors) -> None:
        self.outputs = outputs
        self.asked: list[str] = []

    async def compute(self, stage: Any, function: Any, *args: Any) -> Any:
        return function(*args)

    async def infer(self, model: str, inputs: Tensors) -> Tensors:
        self.asked.append(model)
        return self.outputs


def one_hot(place: int) -> Tensors:
    scores = np.zeros((1, CLASSES), np.float32)
    scores[0, place] = 1
    return {"scores": scores}


async def test_a_picture_of_one_thing_has_the_vector_of_its_words() -> None:
    steps = Steps(one_hot(7))
    found = await ConceptTask(CONCEPTS).run(PICTURE, EmbeddingOptions(), (), steps)
    assert steps.asked == ["tagger"]
    assert found.space == INFO
    assert found.vector.values == pytest.approx(made_embedder.concepts()[7], abs=1e-6)


async def test_a_network_answers_with_the_vector_itself() -> None:
    vector = np.eye(DIMENSION, dtype=np.float32)[:1]
    steps = Steps({"vector": vector})
    found = await NetworkTask(NETWORK).run(PICTURE, EmbeddingOptions(), (), steps)
    assert steps.asked == ["image_embedder"]
    assert found.vector.values == tuple(vector[0])


@pytest.mark.parametrize("wrong", [np.ones((1, DIMENSION), np.float32), np.eye(DIMENSION + 1, dtype=np.float32)[:1]])
def test_a_vector_of_another_length_or_dimension_is_a_fault(wrong: np.ndarray) -> None:
    with pytest.raises(InternalError):
        finish(NETWORK, {"vector": wrong}, Encoding.FLOAT32)


def test_an_unknown_encoding_is_refused_by_its_name() -> None:
    EmbeddingTask().check(EmbeddingOptions(Encoding.BITS))
    with pytest.raises(InvalidRequestError) as caught:
        EmbeddingTask().check(EmbeddingOptions(None))
    assert caught.value.field == "embedding.encoding"


def test_the_scale_is_the_models() -> None:
    assert NetworkTask(NETWORK).scale(640, 320) == pytest.approx(1.7 * 32 / 320)
    assert ConceptTask(CONCEPTS).scale(100, 200) == 1
