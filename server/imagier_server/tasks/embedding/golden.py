# SPDX-License-Identifier: Apache-2.0
"""The golden pairs of the installed space: pictures and texts, and the vectors that their models made when they were installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from imagier_server.golden import Golden
from imagier_server.model_lock import ModelLockError
from imagier_server.tasks.embedding.concepts import Concepts
from imagier_server.tasks.embedding.space import IMAGE_EMBEDDER, TEXT_EMBEDDER, Network
from imagier_server.tasks.embedding.task import EmbeddingTask
from imagier_server.tasks.embedding.texts import TextSide
from imagier_server.tasks.embedding.values import NAME
from imagier_server.tasks.task import Task

FILE: Final = "golden.npz"


def read_golden(repository: Path, tasks: Mapping[str, Task[Any, Any]]) -> Mapping[str, tuple[Golden, ...]]:
    """The golden answers by role, of the space of the installed task. Raises `ModelLockError` if they are missing or damaged."""
    found: dict[str, tuple[Golden, ...]] = {}
    space = cast("EmbeddingTask", tasks[NAME]).space
    if space is None:
        return found
    try:
        if isinstance(space.image, Network):
            with np.load(repository / IMAGE_EMBEDDER / "assets" / FILE, allow_pickle=False) as arrays:
                found[IMAGE_EMBEDDER] = (Golden({"pixels": arrays["pixels"]}, "vector", arrays["vectors"]),)
        if space.text is not None:
            with np.load(repository / TEXT_EMBEDDER / "assets" / FILE, allow_pickle=False) as arrays:
                found[TEXT_EMBEDDER] = _texts(space.text, arrays["texts"].tolist(), arrays["vectors"])
                if isinstance(space.image, Concepts) and len(arrays["pixels"]):
                    # A picture's vector is made of the tagger's scores here.
                    found[space.image.model] = (Golden({"pixels": arrays["pixels"]}, "scores", arrays["scores"]),)
    except Exception as error:  # whatever a damaged archive does
        raise ModelLockError("the golden pairs of the embedders are damaged; install them again") from error
    return found


def _texts(side: TextSide, texts: list[str], vectors: np.ndarray) -> tuple[Golden, ...]:
    batches = side.tokenise(texts).batches
    return tuple(Golden(batch.inputs, "vector", vectors[list(batch.places)]) for batch in batches)
