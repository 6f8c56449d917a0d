# SPDX-License-Identifier: Apache-2.0
"""Between the client's values and protobuf: pure functions, shared by both clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from google.protobuf.message import Message
from google.rpc import status_pb2
from imagier.v1 import annotator_pb2, caption_pb2, catalog_pb2, model_pb2, tags_pb2, text_pb2, timing_pb2

from imagier_client.errors import ImagierClientError, InvalidRequestError, from_status
from imagier_client.languages import primary
from imagier_client.messages import (
    Annotation,
    Caption,
    CaptionOptions,
    CaptionResult,
    Catalog,
    Limits,
    ModelInfo,
    ModelReference,
    OptionInfo,
    Point,
    Polygon,
    StageTiming,
    Tag,
    TagParent,
    TagsOptions,
    TagsResult,
    TaskInfo,
    TaskLimit,
    TextLine,
    TextOptions,
    TextResult,
    TextWord,
    Timings,
)

M = TypeVar("M", bound=Message)


def encode_request(
    image: bytes,
    *,
    tags: TagsOptions | bool = False,
    text: TextOptions | bool = False,
    caption: CaptionOptions | bool = False,
    languages: Sequence[str] = (),
    request_id: str = "",
) -> annotator_pb2.AnnotateRequest:
    """The request message. `True` asks for a task with the server's defaults, `False` does not ask. Raises InvalidRequestError."""
    return filled(
        annotator_pb2.AnnotateRequest(image=image),
        request_id=request_id,
        languages=languages,
        tags=_tags_options(TagsOptions() if tags is True else tags) if tags else None,
        text=_text_options(TextOptions() if text is True else text) if text else None,
        caption=_caption_options(CaptionOptions() if caption is True else caption) if caption else None,
    )


def filled(message: M, within: str = "", **values: object) -> M:
    """`message` with these fields set. Raises InvalidRequestError for a number or text that protobuf has no form for."""
    for name, value in values.items():
        try:
            message.MergeFrom(type(message)(**{name: value}))
        except ValueError as error:
            raise InvalidRequestError("out of range, or no text in Unicode", field=f"{within}{name}") from error
    return message


def decode_annotation(message: annotator_pb2.AnnotateResponse, languages: Sequence[str] = ()) -> Annotation:
    """The reply as values. `languages` are those asked for: protobuf maps have no order, names are wanted in theirs."""
    return Annotation(
        width=message.width,
        height=message.height,
        tags=_tags_result(message.tags, languages) if message.HasField("tags") else None,
        text=_text_result(message.text) if message.HasField("text") else None,
        caption=_caption_result(message.caption) if message.HasField("caption") else None,
        cost=message.cost,
        timings=_timings(message.timings),
        request_id=message.request_id,
        message=message,
    )


def decode_catalog(message: catalog_pb2.GetCatalogResponse) -> Catalog:
    """The catalogue as values."""
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
    )


def _tags_options(options: TagsOptions) -> tags_pb2.TagsOptions:
    return filled(
        tags_pb2.TagsOptions(),
        "tags.",
        max_tags=options.max_tags,
        min_score=options.min_score,
        allow=options.allow,
        deny=options.deny,
        existing_tags=options.existing_tags,
    )


def _text_options(options: TextOptions) -> text_pb2.TextOptions:
    return text_pb2.TextOptions(min_confidence=options.min_confidence, words=options.words)


def _caption_options(options: CaptionOptions) -> caption_pb2.CaptionOptions:
    return filled(
        caption_pb2.CaptionOptions(),
        "caption.",
        max_words=options.max_words,
        candidates=options.candidates,
        min_score=options.min_score,
        gender_neutral=options.gender_neutral,
    )


def _tags_result(message: tags_pb2.TagsResult, languages: Sequence[str]) -> TagsResult:
    return TagsResult(
        models=_models(message.models),
        cost=message.cost,
        error=_task_error(message.status),
        tags=tuple(
            Tag(
                id=tag.id,
                names=ordered_names(tag.names, languages),
                score=tag.score,
                origin=_origin(tag.origin),
                parents=tuple(TagParent(parent.id, ordered_names(parent.names, languages)) for parent in tag.parents),
            )
            for tag in message.tags
        ),
        unknown_languages=tuple(message.unknown_languages),
    )


def _text_result(message: text_pb2.TextResult) -> TextResult:
    return TextResult(
        models=_models(message.models),
        cost=message.cost,
        error=_task_error(message.status),
        lines=tuple(
            TextLine(
                text=line.text,
                confidence=line.confidence,
                polygon=_polygon(line.polygon),
                normalized_polygon=_polygon(line.normalized_polygon),
                words=tuple(
                    TextWord(
                        text=word.text,
                        confidence=word.confidence,
                        polygon=_polygon(word.polygon),
                        normalized_polygon=_polygon(word.normalized_polygon),
                    )
                    for word in line.words
                ),
            )
            for line in message.lines
        ),
        text=message.text,
    )


def _caption_result(message: caption_pb2.CaptionResult) -> CaptionResult:
    return CaptionResult(
        models=_models(message.models),
        cost=message.cost,
        error=_task_error(message.status),
        captions=tuple(
            Caption(caption.text, caption.language, caption.score, caption.guess, _origin(caption.origin))
            for caption in message.captions
        ),
        title=message.title,
        unknown_languages=tuple(message.unknown_languages),
    )


def _origin(origin: tags_pb2.Origin.ValueType) -> str:
    # A newer server may name one that this contract does not know.
    known = origin in tags_pb2.Origin.values()
    return tags_pb2.Origin.Name(origin).removeprefix("ORIGIN_").lower() if known else "unspecified"


def _task_error(status: status_pb2.Status) -> ImagierClientError | None:
    return from_status(status) if status.code else None


def ordered_names(names: Mapping[str, str], languages: Sequence[str]) -> Mapping[str, str]:
    wanted = [primary(language) for language in languages]
    rank = {language: position for position, language in reversed(list(enumerate(wanted)))}
    return MappingProxyType(dict(sorted(names.items(), key=lambda item: (rank.get(item[0], len(rank)), item[0]))))


def _models(models: Iterable[model_pb2.ModelReference]) -> tuple[ModelReference, ...]:
    return tuple(ModelReference(model.name, model.version, model.research_only) for model in models)


def _polygon(points: Iterable[text_pb2.Point]) -> Polygon:
    return tuple(Point(point.x, point.y) for point in points)


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
