# SPDX-License-Identifier: Apache-2.0
"""Pictures as the vectors of the words for what the tagger sees in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imagier_server.messages import Picture, Tensors
from imagier_server.tasks.embedding.values import Vectors
from imagier_server.tasks.tags.crops import MODEL as TAGGER
from imagier_server.tasks.tags.crops import prepare, scale


@dataclass(frozen=True, slots=True)
class Concepts:
    """The vectors of the tagger's classes, (classes, dimension); a picture's is the mean of its `best`, by their probabilities.

    Norouzi and others, "Zero-Shot Learning by Convex Combination of Semantic Embeddings" (2014, arXiv:1312.5650).
    """

    vectors: Vectors
    best: int
    model: str = TAGGER
    sees_tags: bool = True

    def scale(self, width: int, height: int) -> float:
        """The tagger's."""
        return scale(width, height)

    def prepare(self, picture: Picture) -> Tensors:
        """The tagger's crops: several for a panorama."""
        return prepare(picture)

    def finish(self, outputs: Tensors) -> Vectors:
        """`scores` (crops, classes) → the vector (1, dimension) of all crops together."""
        probabilities = np.asarray(outputs["scores"], np.float64).mean(axis=0)
        best = np.argsort(-probabilities, kind="stable")[: self.best]
        mean = probabilities[best] @ self.vectors[best]
        found: Vectors = (mean / np.linalg.norm(mean))[np.newaxis].astype(np.float32)
        return found
