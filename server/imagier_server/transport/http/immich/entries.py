# SPDX-License-Identifier: Apache-2.0
"""Reads `entries`: what Immich asks for, as {task: {type: {"modelName", "options"}}}."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from imagier_server.errors import InvalidRequestError

FIELD = "entries"


class EntriesError(InvalidRequestError):
    """The entries have not the form that Immich sends."""

    def __init__(self, text: str) -> None:
        super().__init__(text, field=FIELD)


class MissingEntriesError(EntriesError):
    """There are none."""

    def __init__(self) -> None:
        super().__init__("Field required")


class ModelTask(StrEnum):
    """Immich's tasks."""

    CLIP = "clip"
    FACES = "facial-recognition"
    OCR = "ocr"


class ModelType(StrEnum):
    """What a model does in a task."""

    TEXTUAL = "textual"
    VISUAL = "visual"
    DETECTION = "detection"
    RECOGNITION = "recognition"


class Model(BaseModel):
    """A model and its options, of which each task knows some."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    name: Annotated[str, Field(alias="modelName")]
    options: dict[str, Any] = {}

    @property
    def file(self) -> str:
        """The name without what leads to it, and without what no file may have in its name, as Immich's server reads it."""
        return self.name.rpartition("/")[2].replace("\\", "_").replace(":", "_").replace(".", "")

    def min_score(self, field: str, otherwise: float) -> float:
        """Its option `minScore`. Raises `InvalidRequestError` if it is no number from 0 to 1; `field` is the model's place."""
        value = self.options.get("minScore", otherwise)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InvalidRequestError("this must be a number from 0 to 1", field=f"{field}.options.minScore")
        return float(value)


Models = Mapping[ModelType, Model]
_ENTRIES = TypeAdapter(dict[ModelTask, dict[ModelType, Model]])


def read(text: object) -> Mapping[ModelTask, Models]:
    """The models of each task. Raises `EntriesError`, with the words of Immich's own server."""
    if not isinstance(text, str):
        raise MissingEntriesError
    try:
        tasks = _ENTRIES.validate_json(text)
    except (ValidationError, RecursionError):
        raise EntriesError("Invalid request format.") from None
    if not any(tasks.values()):
        raise EntriesError("No model task requested.")
    for task, models in tasks.items():
        if ModelType.RECOGNITION in models and ModelType.DETECTION not in models:
            raise InvalidRequestError("recognition needs the detection of the same task", field=f"{task}.detection")
    return {task: models for task, models in tasks.items() if models}


def written(tasks: Mapping[ModelTask, Models]) -> str:
    """The entries in JSON, as Immich sends them."""
    return json.dumps(
        {
            task: {kind: model.model_dump(by_alias=True) for kind, model in models.items()}
            for task, models in tasks.items()
        }
    )
