# SPDX-License-Identifier: Apache-2.0
"""Conversion of the client's values to protobuf and back, shared by both clients. Each task's own is in `tasks`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from imagier.v1 import annotator_pb2, catalog_pb2, timing_pb2

from imagier_client.arguments import strings
from imagier_client.errors import InvalidRequestError
from imagier_client.messages import (
    Annotation,
    Catalog,
    Limits,
    ModelInfo,
    OptionInfo,
    StageTiming,
    TaskInfo,
    TaskLimit,
    Timings,
)
from imagier_client.receipts import ReceiptKey, SignedReceipt
from imagier_client.tasks import envelope
from imagier_client.tasks.registry import tasks
from imagier_client.tasks.task import TaskOptions
from imagier_client.tasks.wire import fill

K = TypeVar("K")


def encode_request(
    image: bytes,
    asked: Iterable[TaskOptions[Any]] = (),
    languages: Sequence[str] = (),
    request_id: str = "",
    receipt_nonce: bytes | None = None,
) -> annotator_pb2.AnnotateRequest:
    """Makes the request that asks for these tasks, and for a receipt if there is a nonce. Raises InvalidRequestError."""
    request = annotator_pb2.AnnotateRequest(image=image)
    fill(request, request_id=request_id, languages=strings(languages, "languages"))
    _ask_receipt(request, receipt_nonce)
    for options in asked:
        envelope.ask(request, options)
    return request


def about(
    asked: annotator_pb2.AnnotateRequest, image: bytes, receipt_nonce: bytes | None = None
) -> annotator_pb2.AnnotateRequest:
    """Copies the request, with this picture and, if given, its own nonce. Raises InvalidRequestError for what is no nonce."""
    request = annotator_pb2.AnnotateRequest()
    request.CopyFrom(asked)
    request.image = image
    _ask_receipt(request, receipt_nonce)
    return request


def about_each(
    asked: annotator_pb2.AnnotateRequest, receipt_nonce: Callable[[K], bytes] | None
) -> Callable[[K, bytes], annotator_pb2.AnnotateRequest]:
    """Returns what copies the request for a key and its picture, each with a nonce of its own if there is a function of nonces.

    Raises InvalidRequestError for what is no function, such as one nonce for all.
    """
    if receipt_nonce is None:
        return lambda _key, image: about(asked, image)
    if not callable(receipt_nonce):
        raise InvalidRequestError("a function is needed: each picture has a nonce of its own", field="receipt_nonce")
    return lambda key, image: about(asked, image, receipt_nonce(key))


def decode_annotation(message: annotator_pb2.AnnotateResponse, languages: Sequence[str] = ()) -> Annotation:
    """Converts a reply. Names come in the order of `languages`, those asked for: protobuf's maps have none."""
    return Annotation(
        width=message.width,
        height=message.height,
        results={name: tasks()[name].read(result, languages) for name, result in envelope.results(message).items()},
        cost=message.cost,
        timings=_timings(message.timings),
        request_id=message.request_id,
        receipt=SignedReceipt.of(message.processing_receipt) if message.HasField("processing_receipt") else None,
        message=message,
    )


def decode_catalog(message: catalog_pb2.GetCatalogResponse) -> Catalog:
    """Converts the catalogue."""
    limits = message.limits
    return Catalog(
        server_version=message.server_version,
        tasks=tuple(
            TaskInfo(
                name=task.name,
                models=tuple(task.models),
                languages=tuple(task.languages),
                price=task.price,
                options=tuple(map(_option_info, task.options)),
                ready=task.ready,
                scripts=tuple(task.scripts),
                limits=tuple(TaskLimit(limit.name, limit.value, limit.meaning) for limit in task.limits),
            )
            for task in message.tasks
        ),
        models=tuple(
            ModelInfo(
                name=model.name,
                version=model.version,
                license=model.license,
                source=model.source,
                research_only=model.research_only,
                digest=model.digest,
                ready=model.ready,
            )
            for model in message.models
        ),
        limits=Limits(
            image_bytes=limits.image_bytes,
            image_pixels=limits.image_pixels,
            image_side=limits.image_side,
            stream_in_flight=limits.stream_in_flight,
            in_flight=limits.in_flight,
        ),
        formats=tuple(message.formats),
        receipt_key=ReceiptKey(message.receipt_key.key_id, message.receipt_key.public_key)
        if message.HasField("receipt_key")
        else None,
    )


def _ask_receipt(request: annotator_pb2.AnnotateRequest, nonce: bytes | None) -> None:
    if nonce is not None:
        fill(request.processing_receipt, nonce=nonce)
        request.processing_receipt.SetInParent()


def _option_info(option: catalog_pb2.OptionInfo) -> OptionInfo:
    return OptionInfo(
        name=option.name,
        default_value=option.default_value,
        minimum=option.minimum if option.HasField("minimum") else None,
        maximum=option.maximum if option.HasField("maximum") else None,
    )


def _timings(message: timing_pb2.Timings) -> Timings:
    stages = timing_pb2.Stage.values()
    return Timings(
        total=message.total.ToTimedelta().total_seconds(),
        stages=tuple(
            StageTiming(
                task=stage.task,
                # A newer server may name a stage that this contract does not know.
                stage=timing_pb2.Stage.Name(stage.stage).removeprefix("STAGE_").lower()
                if stage.stage in stages
                else "unspecified",
                seconds=stage.duration.ToTimedelta().total_seconds(),
            )
            for stage in message.stages
        ),
    )
