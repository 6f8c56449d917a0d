# SPDX-License-Identifier: Apache-2.0
"""The catalogue: what this server can do now, as a neutral value that each transport renders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from imagier_server.decode.formats import Format
from imagier_server.messages import ReceiptKey
from imagier_server.model_lock import LockedModel
from imagier_server.settings import Settings
from imagier_server.tasks.options import Option
from imagier_server.tasks.task import LimitInfo, Task


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A task. `models` by role; `price` in credits; `scripts` that it reads (ISO 15924); `ready` if all its models are."""

    name: str
    models: tuple[str, ...]
    languages: tuple[str, ...]
    scripts: tuple[str, ...]
    price: int
    options: tuple[Option, ...]
    limits: tuple[LimitInfo, ...]
    ready: bool


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model by its role. `licence` is an SPDX expression or "not stated"; `digest` the SHA-256 of its weights as published."""

    name: str
    version: str
    licence: str
    source: str
    research_only: bool
    digest: str
    ready: bool


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Limits: bytes, pixels and longest side of a picture; pictures in flight per stream and in all."""

    image_bytes: int
    image_pixels: int
    image_side: int
    stream_in_flight: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The catalogue. `formats` are media types; `receipt_key` verifies processing receipts, None if there are none."""

    server_version: str
    tasks: tuple[TaskInfo, ...]
    models: tuple[ModelInfo, ...]
    limits: ServerLimits
    formats: tuple[str, ...]
    receipt_key: ReceiptKey | None = None


def catalogue(
    version: str,
    tasks: Iterable[Task[Any, Any]],
    models: Mapping[str, LockedModel],
    ready: Mapping[str, bool],
    prices: Mapping[str, int],
    settings: Settings,
) -> Catalogue:
    """Build the catalogue; `ready` by model, `prices` by task."""
    return Catalogue(
        server_version=version,
        tasks=tuple(_task(task, ready, prices[task.name]) for task in tasks),
        models=tuple(_model(model, ready.get(model.role, False)) for model in models.values()),
        limits=ServerLimits(
            image_bytes=settings.max_image_bytes,
            image_pixels=settings.max_image_pixels,
            image_side=settings.max_image_side,
            stream_in_flight=settings.stream_in_flight,
            in_flight=settings.in_flight,
        ),
        formats=tuple(fmt.value for fmt in Format),
    )


def _task(task: Task[Any, Any], ready: Mapping[str, bool], price: int) -> TaskInfo:
    return TaskInfo(
        name=task.name,
        models=task.models,
        languages=task.languages,
        scripts=task.scripts,
        price=price,
        options=task.options,
        limits=task.limits,
        ready=all(ready.get(model, False) for model in task.models),
    )


def _model(model: LockedModel, ready: bool) -> ModelInfo:
    return ModelInfo(
        name=model.role,
        version=model.full_version,
        licence=model.licence,
        source=model.source,
        research_only=model.research_only,
        digest=model.source_digest,
        ready=ready,
    )
