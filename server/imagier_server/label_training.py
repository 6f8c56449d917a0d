# SPDX-License-Identifier: Apache-2.0
"""Teaches labels by examples: work without a picture, admitted and charged like one. Nothing is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from imagier_server.call import CallContext
from imagier_server.errors import InvalidRequestError, ModelNotInstalledError
from imagier_server.messages import TaskOutcome
from imagier_server.repeats import named
from imagier_server.tasks.embedding.candidates import MAX_LABEL
from imagier_server.tasks.embedding.taught import MAX_EXAMPLES, MIN_EXAMPLES, train
from imagier_server.tasks.embedding.texts import is_blank
from imagier_server.tasks.embedding.values import NAME, SpaceInfo, TrainedLabel, TrainLabelRequest, Vectors
from imagier_server.text_embedding import TextEmbedder

_LEAST_LENGTH = 1e-6


@dataclass(frozen=True, slots=True)
class LabelTraining:
    """One server's training of labels."""

    texts: TextEmbedder

    async def train(self, request: TrainLabelRequest, call: CallContext) -> tuple[TrainedLabel, int]:
        """A label, and what it cost. Raises `ImagierError`."""
        pipeline, space = self.texts.pipeline, self.texts.task.space
        with pipeline.recorder.training(call):
            if space is None:
                raise ModelNotInstalledError("this server teaches no labels: its embedders are not installed")
            _check(request, space.info)
            positives = _stacked(request.positives, "positives", space.info.dimension)
            negatives = _stacked(request.negatives, "negatives", space.info.dimension)
            digest = (request.label, request.space, positives.tobytes(), negatives.tobytes())
            call = replace(call, operation=named(call, ("label", digest)))
            async with pipeline.admission.admit(request, call) as receipt:
                taught, accuracy = await asyncio.get_running_loop().run_in_executor(
                    pipeline.threads, train, request.label, space.info.name, positives, negatives
                )
                price = pipeline.prices[NAME]
                receipt.outcomes = {NAME: TaskOutcome((), taught, cost=price)}
                return TrainedLabel(taught.packed(), accuracy), price


def _check(request: TrainLabelRequest, space: SpaceInfo) -> None:
    if is_blank(request.label) or len(request.label) > MAX_LABEL:
        raise InvalidRequestError(f"a label has 1 to {MAX_LABEL} characters", field="label")
    if request.space != space:
        raise InvalidRequestError(
            f"the vectors are not of the space {space.name}: embed the pictures again", field="space"
        )
    for name, vectors in (("positives", request.positives), ("negatives", request.negatives)):
        if len(vectors) < MIN_EXAMPLES:
            raise InvalidRequestError(f"at least {MIN_EXAMPLES} vectors are needed", field=name)
    if len(request.positives) + len(request.negatives) > MAX_EXAMPLES:
        raise InvalidRequestError(f"more than {MAX_EXAMPLES} vectors are given", field="positives")


def _stacked(vectors: Sequence[Vectors | None], name: str, dimension: int) -> Vectors:
    """The vectors as rows of unit length. Raises `InvalidRequestError` for one that is none of the space."""
    rows = np.empty((len(vectors), dimension), np.float32)
    for place, vector in enumerate(vectors):
        if vector is None or vector.shape != (dimension,) or not np.isfinite(vector).all():
            raise InvalidRequestError(f"this is no vector of {dimension} numbers", field=f"{name}[{place}]")
        length = float(np.linalg.norm(vector))
        if length < _LEAST_LENGTH:
            raise InvalidRequestError("this vector is zero", field=f"{name}[{place}]")
        rows[place] = vector / length
    return rows
