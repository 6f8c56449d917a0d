# SPDX-License-Identifier: Apache-2.0
"""Immich's `clip`: the vector of a picture or a text, with as many numbers as the model's name promises."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from imagier_server.errors import ModelNotInstalledError
from imagier_server.tasks.embedding.values import NAME, SpaceInfo, Vector
from imagier_server.transport.http.immich.entries import FIELD, Models, ModelTask, ModelType

TASK = NAME
"""Our task that answers it."""

_PROMISED: Mapping[str, int] = {
    r"ViT-SO400M-.*|nllb-clip-large-.*": 1152,
    r"ViT-gopt-16-SigLIP2-.*": 1536,
    r"ViT-B-(?:16|32)-SigLIP.*|nllb-clip-base-.*|ViT-L-14.*|LABSE-Vit-L-14|RN50x16|XLM-Roberta-Large-Vit-L-14": 768,
    r"ViT-L-16-SigLIP.*|ViT-H-14.*|ViT-g-14|RN50|RN50x64|XLM-Roberta-Large-ViT-H-14": 1024,
    r"RN50x4|ViT-B-16-plus-240|XLM-Roberta-Large-Vit-B-16Plus": 640,
    r"RN101|ViT-B-(?:16|32)|XLM-Roberta-(?:Base|Large)-Vit-B-32": 512,
}
"""Numbers in a vector by model, without what it was trained on. Immich's server has such a table of its own, and relies on it."""


def promised(name: str) -> int | None:
    """How many numbers Immich expects of a model; None if Immich does not know it."""
    family = name.partition("__")[0]
    return next((size for names, size in _PROMISED.items() if re.fullmatch(names, family, re.IGNORECASE)), None)


def is_ours(models: Models, space: SpaceInfo | None, relayed: bool) -> bool:
    """Whether we answer it. A model that is not the installed one is left to a native Immich if that is there (`relayed`).

    Else Immich gets vectors of another model, if they have the right size: it knows none by the name of ours.
    """
    if space is None or len(models) != 1 or not models.keys() <= {ModelType.VISUAL, ModelType.TEXTUAL}:
        return False
    (model,) = models.values()
    return model.file == space.name or (not relayed and promised(model.file) == space.dimension)


def refusal(models: Models, space: SpaceInfo | None) -> ModelNotInstalledError:
    """Why it is not answered."""
    sizes = {promised(model.file) for model in models.values()}
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
