# SPDX-License-Identifier: Apache-2.0
"""Converts protobuf messages to the gateway's values and back. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from imagier.v1 import annotator_pb2, keywords_pb2, timing_pb2

from imagier_server.errors import InvalidRequestError
from imagier_server.messages import AnnotateRequest, Annotation, TaskOutcome
from imagier_server.tasks.tags.values import KeywordMatches, KeywordMeaning, MatchKind
from imagier_server.timings import Stage, Timings
from imagier_server.transport.codecs.codec import TaskCodec, first, models
from imagier_server.transport.codecs.registry import BUILT_IN, codecs
from imagier_server.transport.codecs.tags import parents
from imagier_server.transport.receipt import to_signed
from imagier_server.transport.status import to_status

_STAGES = {
    Stage.DECODE: timing_pb2.STAGE_DECODE,
    Stage.PREPARE: timing_pb2.STAGE_PREPARE,
    Stage.INFER: timing_pb2.STAGE_INFER,
    Stage.FINISH: timing_pb2.STAGE_FINISH,
}

_MATCH_KINDS = {
    MatchKind.ID: keywords_pb2.MATCH_KIND_ID,
    MatchKind.NAME: keywords_pb2.MATCH_KIND_NAME,
    MatchKind.VARIANT: keywords_pb2.MATCH_KIND_VARIANT,
    MatchKind.SYNONYM: keywords_pb2.MATCH_KIND_SYNONYM,
}


def from_stream_request(message: annotator_pb2.AnnotateStreamRequest) -> AnnotateRequest:
    """Convert a stream's request, with its own time limit."""
    request = from_request(message.request)
    timeout = message.timeout
    return replace(request, seconds=timeout.seconds + timeout.nanos / 1e9) if message.HasField("timeout") else request


def from_request(message: annotator_pb2.AnnotateRequest) -> AnnotateRequest:
    """Convert a request; a task is requested by the presence of its options. Raises `InvalidRequestError`."""
    asked: Any = message  # fields have the tasks' names
    tasks = {codec.task: codec.read(getattr(asked, codec.task)) for codec in BUILT_IN if asked.HasField(codec.task)}
    for packed in message.extensions:
        codec = _extension(packed)
        options = codec.options()
        try:
            packed.Unpack(options)
        except DecodeError:
            raise InvalidRequestError("the options cannot be parsed", field="extensions") from None
        tasks[codec.task] = codec.read(options)
    nonce = message.processing_receipt.nonce if message.HasField("processing_receipt") else None
    return AnnotateRequest(message.image, tasks, first(message.languages), message.request_id, nonce=nonce)


def to_response(annotation: Annotation) -> annotator_pb2.AnnotateResponse:
    """Convert a result; each task in the field of its name, further ones in `extensions`."""
    response = annotator_pb2.AnnotateResponse(
        request_id=annotation.request_id,
        width=annotation.width,
        height=annotation.height,
        cost=annotation.cost,
        timings=_timings(annotation.timings),
        processing_receipt=to_signed(annotation.receipt) if annotation.receipt else None,
    )
    for task, outcome in annotation.outcomes.items():
        codec = codecs()[task]
        result = codec.result(status=_status(outcome), models=models(outcome), cost=outcome.cost)
        if outcome.error is None:
            codec.write(result, outcome.result, (annotation.width, annotation.height))
        if codec in BUILT_IN:
            getattr(response, task).CopyFrom(result)
        else:
            response.extensions.add().Pack(result)
    return response


def _extension(packed: any_pb2.Any) -> TaskCodec:
    for codec in codecs().values():
        if codec not in BUILT_IN and packed.TypeName() == codec.options.DESCRIPTOR.full_name:
            return codec
    raise InvalidRequestError("this server does not have the requested task: see its catalogue", field="extensions")


def to_keywords_response(found: KeywordMatches) -> keywords_pb2.MatchKeywordsResponse:
    """Convert the keyword matches."""
    return keywords_pb2.MatchKeywordsResponse(
        matches=[
            keywords_pb2.KeywordMatch(keyword=match.keyword, meanings=map(_meaning, match.meanings))
            for match in found.matches
        ],
        unknown_languages=found.unknown_languages,
    )


def _meaning(meaning: KeywordMeaning) -> keywords_pb2.KeywordMeaning:
    return keywords_pb2.KeywordMeaning(
        id=meaning.id, names=meaning.names, kind=_MATCH_KINDS[meaning.kind], parents=parents(meaning.parents)
    )


def _status(outcome: TaskOutcome) -> status_pb2.Status:
    return to_status(outcome.error) if outcome.error else status_pb2.Status()


def _timings(timings: Timings) -> timing_pb2.Timings:
    stages = (
        timing_pb2.StageTiming(task=task, stage=_STAGES[stage], duration=_duration(seconds))
        for (task, stage), seconds in timings.stages.items()
    )
    return timing_pb2.Timings(total=_duration(timings.elapsed), stages=stages)


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMicroseconds(round(seconds * 1e6))
    return duration
