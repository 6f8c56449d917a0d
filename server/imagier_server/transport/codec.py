# SPDX-License-Identifier: Apache-2.0
"""Protobuf messages to the gateway's values and back. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from google.protobuf.duration_pb2 import Duration
from google.rpc import status_pb2
from imagier.v1 import annotator_pb2, caption_pb2, keywords_pb2, model_pb2, tags_pb2, text_pb2, timing_pb2

from imagier_server.messages import (
    AnnotateRequest,
    Annotation,
    Caption,
    CaptionOptions,
    Captions,
    KeywordMatches,
    KeywordMeaning,
    MatchKind,
    Polygon,
    Tag,
    TagParent,
    Tags,
    TagsOptions,
    TaskOptions,
    TaskOutcome,
    Text,
    TextLine,
    TextOptions,
    TextWord,
)
from imagier_server.timings import Stage, Timings
from imagier_server.transport.status import to_status

_STAGES = {
    Stage.DECODE: timing_pb2.STAGE_DECODE,
    Stage.PREPARE: timing_pb2.STAGE_PREPARE,
    Stage.INFER: timing_pb2.STAGE_INFER,
    Stage.FINISH: timing_pb2.STAGE_FINISH,
}

_MOST_WORDS = 10_000
"""More than any field may have."""

_MATCH_KINDS = {
    MatchKind.ID: keywords_pb2.MATCH_KIND_ID,
    MatchKind.NAME: keywords_pb2.MATCH_KIND_NAME,
    MatchKind.VARIANT: keywords_pb2.MATCH_KIND_VARIANT,
    MatchKind.SYNONYM: keywords_pb2.MATCH_KIND_SYNONYM,
}


def from_request(message: annotator_pb2.AnnotateRequest) -> AnnotateRequest:
    """The request as a value; a task is asked for by the presence of its options."""
    tasks: dict[str, TaskOptions] = {}
    if message.HasField("tags"):
        tags = message.tags
        tasks["tags"] = TagsOptions(
            max_tags=tags.max_tags if tags.HasField("max_tags") else None,
            min_score=tags.min_score if tags.HasField("min_score") else None,
            allow=first(tags.allow),
            deny=first(tags.deny),
            existing_tags=first(tags.existing_tags),
        )
    if message.HasField("text"):
        text = message.text
        tasks["text"] = TextOptions(
            min_confidence=text.min_confidence if text.HasField("min_confidence") else None, words=text.words
        )
    if message.HasField("caption"):
        caption = message.caption
        tasks["caption"] = CaptionOptions(
            max_words=caption.max_words if caption.HasField("max_words") else None,
            candidates=caption.candidates if caption.HasField("candidates") else None,
            min_score=caption.min_score if caption.HasField("min_score") else None,
            gender_neutral=caption.gender_neutral,
        )
    return AnnotateRequest(message.image, tasks, first(message.languages), message.request_id)


def first(words: Iterable[str]) -> tuple[str, ...]:
    """Enough of them to be refused for their number: a message full of words of two letters would take gigabytes as strings."""
    return tuple(islice(words, _MOST_WORDS))


def to_response(annotation: Annotation) -> annotator_pb2.AnnotateResponse:
    """The answer as a message; each task in the field of its name."""
    response = annotator_pb2.AnnotateResponse(
        request_id=annotation.request_id,
        width=annotation.width,
        height=annotation.height,
        cost=annotation.cost,
        timings=_timings(annotation.timings),
    )
    if outcome := annotation.outcomes.get("tags"):
        result = tags_pb2.TagsResult(status=_status(outcome), models=_models(outcome), cost=outcome.cost)
        if isinstance(outcome.result, Tags):
            result.tags.extend(_tag(tag) for tag in outcome.result.tags)
            result.unknown_languages.extend(outcome.result.unknown_languages)
        response.tags.CopyFrom(result)
    if outcome := annotation.outcomes.get("text"):
        read = text_pb2.TextResult(status=_status(outcome), models=_models(outcome), cost=outcome.cost)
        if isinstance(outcome.result, Text):
            size = (annotation.width, annotation.height)
            read.lines.extend(_line(line, size) for line in outcome.result.lines)
            read.text = "\n".join(line.text for line in outcome.result.lines)
        response.text.CopyFrom(read)
    if outcome := annotation.outcomes.get("caption"):
        said = caption_pb2.CaptionResult(status=_status(outcome), models=_models(outcome), cost=outcome.cost)
        if isinstance(outcome.result, Captions):
            said.captions.extend(_caption(caption) for caption in outcome.result.captions)
            said.title = outcome.result.title
            said.unknown_languages.extend(outcome.result.unknown_languages)
        response.caption.CopyFrom(said)
    return response


def to_keywords_response(found: KeywordMatches) -> keywords_pb2.MatchKeywordsResponse:
    """What the keywords mean as a message."""
    return keywords_pb2.MatchKeywordsResponse(
        matches=[
            keywords_pb2.KeywordMatch(keyword=match.keyword, meanings=map(_meaning, match.meanings))
            for match in found.matches
        ],
        unknown_languages=found.unknown_languages,
    )


def _meaning(meaning: KeywordMeaning) -> keywords_pb2.KeywordMeaning:
    return keywords_pb2.KeywordMeaning(
        id=meaning.id, names=meaning.names, kind=_MATCH_KINDS[meaning.kind], parents=_parents(meaning.parents)
    )


def _parents(parents: Iterable[TagParent]) -> Iterable[tags_pb2.TagParent]:
    return (tags_pb2.TagParent(id=parent.id, names=parent.names) for parent in parents)


def _status(outcome: TaskOutcome) -> status_pb2.Status:
    return to_status(outcome.error) if outcome.error else status_pb2.Status()


def _models(outcome: TaskOutcome) -> list[model_pb2.ModelReference]:
    return [
        model_pb2.ModelReference(name=model.name, version=model.version, research_only=model.research_only)
        for model in outcome.models
    ]


def _tag(tag: Tag) -> tags_pb2.Tag:
    return tags_pb2.Tag(
        id=tag.id,
        names=tag.names,
        score=tag.score,
        origin=tags_pb2.ORIGIN_MACHINE,
        parents=_parents(tag.parents),
    )


def _caption(caption: Caption) -> caption_pb2.Caption:
    return caption_pb2.Caption(
        text=caption.text,
        language=caption.language,
        score=caption.score,
        guess=caption.guess,
        origin=tags_pb2.ORIGIN_MACHINE,
    )


def _line(line: TextLine, size: tuple[int, int]) -> text_pb2.TextLine:
    return text_pb2.TextLine(
        text=line.text,
        confidence=line.confidence,
        polygon=_points(line.polygon, (1, 1)),
        normalized_polygon=_points(line.polygon, size),
        words=[_word(word, size) for word in line.words],
    )


def _word(word: TextWord, size: tuple[int, int]) -> text_pb2.TextWord:
    return text_pb2.TextWord(
        text=word.text,
        confidence=word.confidence,
        polygon=_points(word.polygon, (1, 1)),
        normalized_polygon=_points(word.polygon, size),
    )


def _points(polygon: Polygon, unit: tuple[int, int]) -> Iterable[text_pb2.Point]:
    return (text_pb2.Point(x=point.x / unit[0], y=point.y / unit[1]) for point in polygon)


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
