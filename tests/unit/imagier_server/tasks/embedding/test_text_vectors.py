# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from imagier_server.errors import EngineUnavailableError
from imagier_server.messages import Tensors
from imagier_server.tasks.embedding.space import Space
from imagier_server.tasks.embedding.text_vectors import IN_FLIGHT, vectors_of
from imagier_server.tasks.embedding.texts import ROWS, TextSide
from imagier_server.tasks.embedding.values import SpaceInfo
from support import made_embedder
from support.made_embedder import CONTEXT, DIMENSION, PAD


class Steps:
    """Answers as the made model does, and counts the batches; from the one called `broken` on it fails."""

    def __init__(self, broken: int = 0) -> None:
        self.batches = self.at_once = self.most_at_once = 0
        self._broken = broken

    async def compute(self, stage: Any, function: Any, *args: Any) -> Any:
        return function(*args)

    async def infer(self, model: str, inputs: Tensors) -> Tensors:
        self.batches += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)  # whoever else may begin does so before this one ends
        self.at_once -= 1
        if self._broken and self.batches >= self._broken:
            raise EngineUnavailableError("Triton does not answer")
        return {"vector": made_embedder.embedded(np.asarray(inputs["tokens"]))}


SIDE = TextSide.of({"context": CONTEXT, "pad": PAD, "padding": "longest"}, made_embedder.tokenizer())
SPACE = Space(SpaceInfo("made-8", DIMENSION), None, SIDE)


async def test_each_text_gets_its_own_vector_whatever_batch_it_was_in() -> None:
    texts = tuple("cat " * (place % CONTEXT) + "dog" for place in range(2 * ROWS + 1))
    steps = Steps()
    vectors, truncated = await vectors_of(SPACE, SIDE, texts, steps)
    assert steps.batches == 3
    assert truncated == (False,) * len(texts)
    for text, vector in zip(texts, vectors, strict=True):
        tokens = np.array([made_embedder.tokenizer().encode(text).ids])
        assert vector == pytest.approx(made_embedder.embedded(tokens)[0])


async def test_a_few_batches_are_in_flight_and_the_first_failure_ends_them() -> None:
    texts = ("cat",) * (8 * ROWS)
    steps = Steps()
    await vectors_of(SPACE, SIDE, texts, steps)
    assert (steps.batches, steps.most_at_once) == (8, IN_FLIGHT)
    steps = Steps(broken=3)
    with pytest.raises(EngineUnavailableError):
        await vectors_of(SPACE, SIDE, texts, steps)
    assert steps.batches < 8
