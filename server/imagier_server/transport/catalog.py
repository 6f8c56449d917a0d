# SPDX-License-Identifier: Apache-2.0
"""Renders the catalogue as GetCatalog's response."""

from __future__ import annotations

from imagier.v1 import catalog_pb2

from imagier_server.catalogue import Catalogue, ModelInfo, TaskInfo
from imagier_server.transport.receipt import to_key


def to_catalog(catalogue: Catalogue) -> catalog_pb2.GetCatalogResponse:
    """The response to GetCatalog."""
    limits = catalogue.limits
    return catalog_pb2.GetCatalogResponse(
        server_version=catalogue.server_version,
        tasks=map(_task, catalogue.tasks),
        models=map(_model, catalogue.models),
        limits=catalog_pb2.Limits(
            image_bytes=limits.image_bytes,
            image_pixels=limits.image_pixels,
            image_side=limits.image_side,
            stream_in_flight=limits.stream_in_flight,
            in_flight=limits.in_flight,
        ),
        formats=catalogue.formats,
        receipt_key=to_key(catalogue.receipt_key) if catalogue.receipt_key else None,
    )


def _task(task: TaskInfo) -> catalog_pb2.TaskInfo:
    return catalog_pb2.TaskInfo(
        name=task.name,
        models=task.models,
        languages=task.languages,
        price=task.price,
        options=[
            catalog_pb2.OptionInfo(
                name=option.name, default_value=option.default, minimum=option.minimum, maximum=option.maximum
            )
            for option in task.options
        ],
        ready=task.ready,
        scripts=task.scripts,
        limits=[
            catalog_pb2.TaskLimit(name=limit.name, value=limit.value, meaning=limit.meaning) for limit in task.limits
        ],
    )


def _model(model: ModelInfo) -> catalog_pb2.ModelInfo:
    return catalog_pb2.ModelInfo(
        name=model.name,
        version=model.version,
        license=model.licence,
        source=model.source,
        research_only=model.research_only,
        digest=model.digest,
        ready=model.ready,
    )
