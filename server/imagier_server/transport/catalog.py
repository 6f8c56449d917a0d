# SPDX-License-Identifier: Apache-2.0
"""GetCatalog: what the server can do, from the tasks, the model repository's lock and the settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from imagier.v1 import catalog_pb2

from imagier_server.decode.formats import Format
from imagier_server.model_lock import LockedModel
from imagier_server.settings import Settings
from imagier_server.tasks.task import OptionInfo, Task


def catalog(
    version: str,
    tasks: Iterable[Task[Any, Any]],
    models: Mapping[str, LockedModel],
    ready: Mapping[str, bool],
    settings: Settings,
) -> catalog_pb2.GetCatalogResponse:
    """The answer as of now; `ready` by model."""
    return catalog_pb2.GetCatalogResponse(
        server_version=version,
        tasks=[_task(task, ready) for task in tasks],
        models=[_model(model, ready.get(model.role, False)) for model in models.values()],
        limits=catalog_pb2.Limits(
            image_bytes=settings.max_image_bytes,
            image_pixels=settings.max_image_pixels,
            image_side=settings.max_image_side,
            stream_in_flight=settings.stream_in_flight,
            in_flight=settings.in_flight,
        ),
        formats=[fmt.value for fmt in Format],
    )


def _task(task: Task[Any, Any], ready: Mapping[str, bool]) -> catalog_pb2.TaskInfo:
    return catalog_pb2.TaskInfo(
        name=task.name,
        models=task.models,
        languages=task.languages,
        price=task.price,
        options=[_option(option) for option in task.options],
        ready=all(ready.get(model, False) for model in task.models),
        scripts=task.scripts,
        limits=[
            catalog_pb2.TaskLimit(name=limit.name, value=limit.value, meaning=limit.meaning) for limit in task.limits
        ],
    )


def _option(option: OptionInfo) -> catalog_pb2.OptionInfo:
    return catalog_pb2.OptionInfo(
        name=option.name, default_value=option.default, minimum=option.minimum, maximum=option.maximum
    )


def _model(model: LockedModel, ready: bool) -> catalog_pb2.ModelInfo:
    return catalog_pb2.ModelInfo(
        name=model.role,
        version=model.full_version,
        license=model.licence,
        source=model.source,
        research_only=model.research_only,
        digest=model.source_digest,
        ready=ready,
    )
