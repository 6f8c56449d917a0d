# SPDX-License-Identifier: Apache-2.0
"""Runs the texts' model, a few batches at a time."""

from __future__ import annotations

import asyncio
from typing import Final

import numpy as np

from imagier_server.tasks.embedding.encoding import unit
from imagier_server.tasks.embedding.space import TEXT_EMBEDDER, Space
from imagier_server.tasks.embedding.texts import Batch, TextSide
from imagier_server.tasks.embedding.values import Vectors
from imagier_server.tasks.task import Steps
from imagier_server.timings import Stage

IN_FLIGHT: Final = 2
"""Batches of one call in flight: what keeps both instances of the model busy, and fills nobody's queue."""


async def vectors_of(
    space: Space, side: TextSide, texts: tuple[str, ...], steps: Steps
) -> tuple[Vectors, tuple[bool, ...]]:
    """The vectors (texts, dimension), and which texts were cut. The first failure cancels the other batches."""
    tokenised = await steps.compute(Stage.PREPARE, side.tokenise, texts)
    vectors = np.empty((len(texts), space.info.dimension), np.float32)
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def infer(batch: Batch) -> None:
        async with slots:
            outputs = await steps.infer(TEXT_EMBEDDER, batch.inputs)
        vectors[list(batch.places)] = unit(np.asarray(outputs["vector"], np.float32), space.info.dimension)

    try:
        async with asyncio.TaskGroup() as group:
            for batch in tokenised.batches:
                group.create_task(infer(batch))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return vectors, tokenised.truncated
