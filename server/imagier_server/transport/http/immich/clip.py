# SPDX-License-Identifier: Apache-2.0
"""Immich's `clip`: the vector of a picture or a text, with as many numbers as the model's name promises."""

from __future__ import annotations

import numpy as np

from imagier_server.errors import ModelNotInstalledError
from imagier_server.tasks.embedding.immich_names import DIMENSIONS
from imagier_server.tasks.embedding.values import NAME, SpaceInfo, Vector
from imagier_server.transport.http.immich.entries import FIELD, Models, ModelTask, ModelType

TASK = NAME
"""Our task that answers it."""


def is_ours(models: Models, space: SpaceInfo | None, relayed: bool) -> bool:
    """Whether we answer it. A model that is not the installed one is left to a native Immich if that is there (`relayed`).

    Else Immich gets vectors of another model, if they have the right size: it knows none by the name of ours.
    """
    if space is None or len(models) != 1 or not models.keys() <= {ModelType.VISUAL, ModelType.TEXTUAL}:
        return False
    (model,) = models.values()
    return model.file == space.name or (not relayed and DIMENSIONS.get(model.file) == space.dimension)


def refusal(models: Models, space: SpaceInfo | None) -> ModelNotInstalledError:
    """Why it is not answered."""
    sizes = {DIMENSIONS.get(model.file) for model in models.values()}
    has = f"its vectors have {space.dimension} numbers" if space else "it has no vectors"
    wants = f", not the {min(filter(None, sizes))} of the model asked for" if space and any(sizes) else ""
    return ModelNotInstalledError(
        f"this server does not have the model asked for, and {has}{wants}: choose another in Immich, switch Smart Search off, or"
        " relay it to a native Immich machine learning (--immich-upstream)",
        field=f"{FIELD}.{ModelTask.CLIP}",
    )


def written(vector: Vector) -> str:
    """The vector as Immich hands it to PostgreSQL: an array in JSON, in a string, each number as short as its 32 bits allow."""
    return f"[{','.join(map(str, np.asarray(vector.values, np.float32)))}]"
