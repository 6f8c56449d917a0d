# SPDX-License-Identifier: Apache-2.0
"""Turns texts into vectors: work without a picture, admitted, charged and recorded like one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from math import isinf
from typing import cast

from imagier_server.call import CallContext
from imagier_server.errors import DeadlineError, ModelNotInstalledError
from imagier_server.messages import TaskOutcome
from imagier_server.pipeline import Pipeline
from imagier_server.repeats import named
from imagier_server.steps import TaskSteps
from imagier_server.tasks.embedding.encoding import encoded
from imagier_server.tasks.embedding.space import TEXT_EMBEDDER, Space
from imagier_server.tasks.embedding.task import EmbeddingTask, check_encoding
from imagier_server.tasks.embedding.text_vectors import vectors_of
from imagier_server.tasks.embedding.texts import TextSide, check_texts
from imagier_server.tasks.embedding.values import NAME, EmbedTextRequest, TextEmbedding, TextEmbeddings
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
