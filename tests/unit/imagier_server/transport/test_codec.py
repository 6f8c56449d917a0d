# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import grpc
import pytest
from google.protobuf import json_format
from imagier.v1 import annotator_pb2, caption_pb2, fingerprint_pb2, tags_pb2
from imagier_server.errors import ModelNotInstalledError, ModelUnavailableError
from imagier_server.messages import Annotation, ModelReference, TaskOutcome
from imagier_server.tasks.caption.values import Caption, CaptionOptions, Captions
from imagier_server.tasks.fingerprint.values import Fingerprint, FingerprintOptions
from imagier_server.tasks.ocr.values import OcrOptions, Point, Text, TextLine, TextWord
from imagier_server.tasks.tags.keywords import MAX_KEYWORDS
from imagier_server.tasks.tags.task import MAX_LIST
from imagier_server.tasks.tags.values import Tag, TagParent, Tags, TagsOptions
from imagier_server.timings import SHARED, Stage, Timings
from imagier_server.transport.codec import from_request, from_stream_request, to_response

SQUARE = (Point(10, 20), Point(30, 20), Point(30, 40), Point(10, 40))


def test_the_presence_of_options_asks_for_the_task() -> None:
    message = json_format.ParseDict(
        {"image": "QUJD", "tags": {}, "languages": ["fr"], "requestId": "7"}, annotator_pb2.AnnotateRequest()
    )
    request = from_request(message)
    assert request.tasks == {"tags": TagsOptions()}
    assert (request.image, request.languages, request.request_id) == (b"ABC", ("fr",), "7")


def test_a_picture_of_a_stream_brings_the_time_that_it_may_take() -> None:
    message = annotator_pb2.AnnotateStreamRequest(request=annotator_pb2.AnnotateRequest(image=b"ABC"))
    assert from_stream_request(message).seconds is None
    message.timeout.FromMilliseconds(1500)
    assert (from_stream_request(message).seconds, from_stream_request(message).image) == (1.5, b"ABC")
    message.timeout.seconds, message.timeout.nanos = 0, 0
    assert from_stream_request(message).seconds == 0


def test_unset_and_zero_are_told_apart() -> None:
    message = annotator_pb2.AnnotateRequest(tags=tags_pb2.TagsOptions(min_score=0.0, max_tags=0, deny=["x"]))
    message.ocr.words = True
    message.caption.max_words = 0
    assert from_request(message).tasks == {
        "tags": TagsOptions(max_tags=0, min_score=0.0, deny=("x",)),
        "ocr": OcrOptions(words=True),
        "caption": CaptionOptions(max_words=0),
    }
    message.caption.MergeFrom(caption_pb2.CaptionOptions(candidates=2, min_score=0.0, gender_neutral=True))
    assert from_request(message).tasks["caption"] == CaptionOptions(0, 2, 0.0, gender_neutral=True)
    message.caption.include_guesses = True
    assert from_request(message).tasks["caption"] == CaptionOptions(
        0, 2, 0.0, gender_neutral=True, include_guesses=True
    )


def test_a_fingerprint_is_bytes() -> None:
    message = annotator_pb2.AnnotateRequest(fingerprint={"rotations": True})
    assert from_request(message).tasks == {"fingerprint": FingerprintOptions(rotations=True)}
    turned = tuple(bytes([number]) * 32 for number in range(7))
    answered = to_response(annotation(fingerprint=TaskOutcome((), Fingerprint(b"\xff" * 32, 87, turned), cost=1)))
    assert answered.fingerprint == fingerprint_pb2.FingerprintResult(
        status={}, cost=1, hash=b"\xff" * 32, quality=87, rotations=turned
    )


def test_more_words_than_any_field_may_have_are_not_taken_in() -> None:
    message = annotator_pb2.AnnotateRequest(image=b"12", languages=["en"] * 20_000)
    message.tags.existing_tags.extend(["abc"] * 20_000)
    request = from_request(message)
    assert len(request.languages) == len(request.tasks["tags"].existing_tags) == 10_000 > max(MAX_LIST, MAX_KEYWORDS)
    assert request.size == 2 + (2 + 3) * 10_000


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
            ocr=TaskOutcome(models, Text((line, TextLine("second", 1.0, SQUARE))), cost=2),
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
    assert response.ocr.text == "two words\nsecond"
    assert [(point.x, point.y) for point in response.ocr.lines[0].polygon] == [(10, 20), (30, 20), (30, 40), (10, 40)]
    assert response.ocr.lines[0].normalized_polygon[2].x == pytest.approx(0.3)
    assert response.ocr.lines[0].words[1].normalized_polygon[2].y == pytest.approx(0.2)
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
    assert not response.HasField("ocr"), "only what was asked for is answered"


def test_captions_say_what_they_are_and_under_which_terms() -> None:
    captions = (Caption("A dog.", "en", 0.75, guess=False), Caption("A cat.", "en", 0.25, guess=True))
    model = ModelReference("captioner", "ours 1", research_only=True)
    outcome = TaskOutcome((model,), Captions(captions, "Dog", ("fr",), 3), cost=1)
    answer = to_response(annotation(caption=outcome)).caption
    assert [(caption.text, caption.score, caption.guess) for caption in answer.captions] == [
        ("A dog.", 0.75, False),
        ("A cat.", 0.25, True),
    ]
    assert {(caption.language, caption.origin) for caption in answer.captions} == {("en", tags_pb2.ORIGIN_MACHINE)}
    assert (answer.title, list(answer.unknown_languages), answer.cost) == ("Dog", ["fr"], 1)
    assert answer.guesses_left_out == 3
    assert answer.models[0].research_only


def test_a_caption_that_failed_has_its_status_only() -> None:
    error = ModelNotInstalledError("this server has none")
    answer = to_response(annotation(caption=TaskOutcome((), error=error))).caption
    assert (answer.status.code, answer.cost, len(answer.captions)) == (grpc.StatusCode.UNIMPLEMENTED.value[0], 0, 0)
