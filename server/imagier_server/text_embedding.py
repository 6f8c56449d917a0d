# SPDX-License-Identifier: Apache-2.0
"""Turns texts into vectors: work without a picture, admitted, charged and recorded like one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from math import isinf
from typing import cast

import numpy as np

from imagier_server.call import CallContext
from imagier_server.errors import DeadlineError, ModelNotInstalledError
from imagier_server.messages import TaskOutcome
from imagier_server.pipeline import Pipeline
from imagier_server.repeats import named
from imagier_server.steps import TaskSteps
from imagier_server.tasks.embedding.encoding import encoded
from imagier_server.tasks.embedding.space import TEXT_EMBEDDER, Space
from imagier_server.tasks.embedding.task import EmbeddingTask, check_encoding, unit
from imagier_server.tasks.embedding.texts import TextSide, check_texts
from imagier_server.tasks.embedding.values import NAME, EmbedTextRequest, TextEmbedding, TextEmbeddings, Vectors
from imagier_server.tasks.languages import check_languages, primary, spoken
from imagier_server.timings import Stage, Timings


@dataclass(frozen=True, slots=True)
class TextEmbedder:
    """One server's embedding of texts: it shares the pictures' admission, engines, threads, and the price of the task."""

    pipeline: Pipeline

    @property
    def task(self) -> EmbeddingTask:
        """The task whose space the texts share."""
        return cast("EmbeddingTask", self.pipeline.tasks[NAME])

    async def embed(self, request: EmbedTextRequest, call: CallContext) -> tuple[TextEmbeddings, TaskOutcome]:
        """The vectors of the texts, and what the call cost. Raises `ImagierError`."""
        with self.pipeline.recorder.texts(len(request.texts), call):
            check_texts(request.texts)
            check_languages(request.languages)
            check_encoding(request.encoding, "encoding")
            space = self.task.space
            if space is None or space.text is None:
                raise ModelNotInstalledError("this server does not embed texts: its model is not installed")
            # A retry of texts works again: it is quick, and charged once.
            call = replace(call, operation=named(call, ("texts", request)))
            if isinf(call.deadline):
                call = replace(call, deadline=asyncio.get_running_loop().time() + self.pipeline.deadline_seconds)
            async with self.pipeline.admission.admit(request, call) as receipt:
                if call.seconds_left <= 0:
                    raise DeadlineError
                try:
                    async with asyncio.timeout_at(call.deadline):
                        found = await self._embedded(space, space.text, request, call)
                except TimeoutError:
                    raise DeadlineError from None
                outcome = TaskOutcome((self.pipeline.models[TEXT_EMBEDDER],), found, cost=self.pipeline.prices[NAME])
                receipt.outcomes = {NAME: outcome}
                return found, outcome

    async def _embedded(
        self, space: Space, side: TextSide, request: EmbedTextRequest, call: CallContext
    ) -> TextEmbeddings:
        pipeline = self.pipeline
        steps = TaskSteps(NAME, call, Timings(), pipeline.engine, pipeline.threads, pipeline.metrics)
        vectors, truncated = await vectors_of(space, side, request.texts, steps)
        assert request.encoding is not None, "checked"
        written = await steps.compute(Stage.FINISH, encoded, vectors, request.encoding)
        _, unknown = spoken(request.languages, {primary(language) for language in self.task.languages})
        pairs = zip(written, truncated, strict=True)
        return TextEmbeddings(space.info, tuple(TextEmbedding(*pair) for pair in pairs), unknown)


async def vectors_of(
    space: Space, side: TextSide, texts: tuple[str, ...], steps: TaskSteps
) -> tuple[Vectors, tuple[bool, ...]]:
    """The vectors (texts, dimension), and which texts were cut. A batch at a time: one call does not fill the model's queue."""
    tokenised = await steps.compute(Stage.PREPARE, side.tokenise, texts)
    vectors = np.empty((len(texts), space.info.dimension), np.float32)
    for batch in tokenised.batches:
        outputs = await steps.infer(TEXT_EMBEDDER, batch.inputs)
        vectors[list(batch.places)] = unit(np.asarray(outputs["vector"], np.float32), space.info.dimension)
    return vectors, tokenised.truncated
