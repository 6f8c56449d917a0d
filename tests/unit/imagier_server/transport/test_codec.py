# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from google.protobuf import json_format
from imagier.v1 import annotator_pb2, tags_pb2
from imagier_server.errors import ModelUnavailableError
from imagier_server.messages import (
    Annotation,
    ModelReference,
    Point,
    Tag,
    TagParent,
    Tags,
    TagsOptions,
    TaskOutcome,
    Text,
    TextLine,
    TextOptions,
    TextWord,
)
from imagier_server.timings import SHARED, Stage, Timings
from imagier_server.transport.codec import from_request, to_response

SQUARE = (Point(10, 20), Point(30, 20), Point(30, 40), Point(10, 40))


def test_the_presence_of_options_asks_for_the_task() -> None:
    message = json_format.ParseDict(
        {"image": "QUJD", "tags": {}, "languages": ["fr"], "requestId": "7"}, annotator_pb2.AnnotateRequest()
    )
    request = from_request(message)
    assert request.tasks == {"tags": TagsOptions()}
    assert (request.image, request.languages, request.request_id) == (b"ABC", ("fr",), "7")


def test_unset_and_zero_are_told_apart() -> None:
    message = annotator_pb2.AnnotateRequest(tags=tags_pb2.TagsOptions(min_score=0.0, max_tags=0, deny=["x"]))
    message.text.words = True
    assert from_request(message).tasks == {
        "tags": TagsOptions(max_tags=0, min_score=0.0, deny=("x",)),
        "text": TextOptions(words=True),
    }


def annotation(**outcomes: TaskOutcome) -> Annotation:
    timings = Timings()
    with timings.measure(SHARED, Stage.DECODE):
        pass
    return Annotation("id", 100, 200, timings, outcomes)


def test_a_result_of_each_task() -> None:
    models = (ModelReference("tagger", "brand 1"),)
    tag = Tag("n1", {"en": "cat"}, 0.5, (TagParent("n2", {"en": "animal"}),))
    line = TextLine("two words", 0.75, SQUARE, (TextWord("two", 0.5, SQUARE), TextWord("words", 1.0, SQUARE)))
    response = to_response(
        annotation(
            tags=TaskOutcome(models, Tags((tag,), ("tlh",)), cost=1),
            text=TaskOutcome(models, Text((line, TextLine("second", 1.0, SQUARE))), cost=2),
        )
    )
    as_json = json_format.MessageToDict(response)
    assert as_json["tags"]["tags"] == [
        {
            "id": "n1",
            "names": {"en": "cat"},
            "score": 0.5,
            "origin": "ORIGIN_MACHINE",
            "parents": [{"id": "n2", "names": {"en": "animal"}}],
        }
    ]
    assert as_json["tags"]["unknownLanguages"] == ["tlh"]
    assert as_json["tags"]["models"] == [{"name": "tagger", "version": "brand 1"}]
    assert response.text.text == "two words\nsecond"
    assert [(point.x, point.y) for point in response.text.lines[0].polygon] == [(10, 20), (30, 20), (30, 40), (10, 40)]
    assert response.text.lines[0].normalized_polygon[2].x == pytest.approx(0.3)
    assert response.text.lines[0].words[1].normalized_polygon[2].y == pytest.approx(0.2)
    assert (response.width, response.height, response.cost) == (100, 200, 3)
    assert response.timings.stages[0].task == ""
    assert response.timings.total.ToNanoseconds() > 0


def test_a_failed_task_carries_its_status_and_costs_nothing() -> None:
    models = (ModelReference("tagger", "brand 1"),)
    response = to_response(
        annotation(tags=TaskOutcome(models, error=ModelUnavailableError("the model tagger is not ready")))
    )
    assert response.tags.status.code == 14
    assert len(response.tags.status.details) == 2
    assert response.cost == response.tags.cost == 0
    assert not response.HasField("text"), "only what was asked for is answered"
