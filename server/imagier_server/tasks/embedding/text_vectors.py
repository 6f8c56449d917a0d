# SPDX-License-Identifier: Apache-2.0
"""Runs the texts' model, a batch at a time."""

from __future__ import annotations

import numpy as np

from imagier_server.tasks.embedding.encoding import unit
from imagier_server.tasks.embedding.space import TEXT_EMBEDDER, Space
from imagier_server.tasks.embedding.texts import TextSide
from imagier_server.tasks.embedding.values import Vectors
from imagier_server.tasks.task import Steps
from imagier_server.timings import Stage


async def vectors_of(
    space: Space, side: TextSide, texts: tuple[str, ...], steps: Steps
) -> tuple[Vectors, tuple[bool, ...]]:
    """The vectors (texts, dimension), and which texts were cut. A batch at a time: one call does not fill the model's queue."""
    tokenised = await steps.compute(Stage.PREPARE, side.tokenise, texts)
    vectors = np.empty((len(texts), space.info.dimension), np.float32)
    for batch in tokenised.batches:
        outputs = await steps.infer(TEXT_EMBEDDER, batch.inputs)
        vectors[list(batch.places)] = unit(np.asarray(outputs["vector"], np.float32), space.info.dimension)
    return vectors, tokenised.truncated
