# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from imagier_server.messages import Tensors
from imagier_server.tasks.embedding.space import Space
from imagier_server.tasks.embedding.text_vectors import vectors_of
from imagier_server.tasks.embedding.texts import ROWS, TextSide
from imagier_server.tasks.embedding.values import SpaceInfo
from support import made_embedder
from support.made_embedder import CONTEXT, DIMENSION, PAD


class Steps:
    """Answers as the made model does, and counts the batches."""

    def __init__(self) -> None:
        self.batches = 0

    async def compute(self, stage: Any, function: Any, *args: Any) -> Any:
        return function(*args)

    async def infer(self, model: str, inputs: Tensors) -> Tensors:
        self.batches += 1
        return {"vector": made_embedder.embedded(np.asarray(inputs["tokens"]))}


async def test_each_text_gets_its_own_vector_whatever_batch_it_was_in() -> None:
    side = TextSide.of({"context": CONTEXT, "pad": PAD, "padding": "longest"}, made_embedder.tokenizer())
    texts = tuple("cat " * (place % CONTEXT) + "dog" for place in range(2 * ROWS + 1))
    steps = Steps()
    vectors, truncated = await vectors_of(Space(SpaceInfo("made-8", DIMENSION), None, side), side, texts, steps)
    assert steps.batches == 3
    assert truncated == (False,) * len(texts)
    for text, vector in zip(texts, vectors, strict=True):
        tokens = np.array([made_embedder.tokenizer().encode(text).ids])
        assert vector == pytest.approx(made_embedder.embedded(tokens)[0])
