# SPDX-License-Identifier: Apache-2.0
"""Values to protobuf and back: every field arrives, what was not said stays unsaid."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import duration_pb2
from imagier.v1 import annotator_pb2, catalog_pb2, tags_pb2, timing_pb2
from imagier_client import codec
from imagier_client.errors import InvalidRequestError, UnavailableError
from imagier_client.messages import Limits, OptionInfo, StageTiming, TaskLimit
from imagier_client.tasks import fingerprint
from imagier_client.tasks.caption import Caption, CaptionCandidate, CaptionResult
from imagier_client.tasks.fingerprint import Fingerprint, FingerprintResult
from imagier_client.tasks.ocr import Ocr
from imagier_client.tasks.shown import Point
from imagier_client.tasks.tags import Candidate, Tags
from imagier_client.tasks.task import ModelReference


def test_what_is_not_asked_for_is_not_set() -> None:
    request = codec.encode_request(b"x", [Tags()])
    assert request.HasField("tags")
    assert not request.HasField("ocr")
    assert request.tags == tags_pb2.TagsOptions()


def test_zero_is_said_and_none_is_not() -> None:
    options = codec.encode_request(b"x", [Tags(min_score=0.0)]).tags
    assert options.HasField("min_score")
    assert not options.HasField("max_tags")
    assert codec.encode_request(b"x", [Caption(min_score=0.0)]).caption.HasField("min_score")
    assert not codec.encode_request(b"x", [Caption()]).caption.HasField("min_score")
    assert codec.encode_request(b"x", [Ocr(min_confidence=0.0)]).ocr.HasField("min_confidence")


def test_own_labels_are_sent_with_their_prompts() -> None:
    own = (Candidate("weaving", ("a loom", "un métier")), Candidate("ship"))
    options = codec.encode_request(b"x", [Tags(candidates=own, taught=(b"blob",))]).tags
    assert [(each.label, list(each.prompts)) for each in options.candidates] == [
        ("weaving", ["a loom", "un métier"]),
        ("ship", []),
    ]
    assert list(options.taught) == [b"blob"]


@pytest.mark.parametrize(
    ("own", "field"), [(("cat",), "tags.candidates[0]"), ((Candidate("a", "b"),), "tags.candidates[0].prompts")]
)
def test_what_is_no_candidate_is_refused_by_its_place(own: Any, field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        codec.encode_request(b"x", [Tags(candidates=own)])
    assert caught.value.field == field


def test_every_option_is_sent() -> None:
    request = codec.encode_request(
        b"bytes",
        [
            Tags(3, 0.5, ("cat",), ("dog",), ("sea",)),
            Ocr(0.25, words=True),
            Caption(10, 3, 0.25, gender_neutral=True, include_guesses=True),
            Fingerprint(rotations=True),
        ],
        languages=("fr", "en"),
        request_id="id",
    )
    assert request == annotator_pb2.AnnotateRequest(
        image=b"bytes",
        request_id="id",
        languages=["fr", "en"],
        tags={"max_tags": 3, "min_score": 0.5, "allow": ["cat"], "deny": ["dog"], "existing_tags": ["sea"]},
        ocr={"min_confidence": 0.25, "words": True},
        caption={"max_words": 10, "candidates": 3, "min_score": 0.25, "gender_neutral": True, "include_guesses": True},
        fingerprint={"rotations": True},
    )


def test_a_fingerprint_arrives_and_is_shown() -> None:
    response = annotator_pb2.AnnotateResponse()
    response.fingerprint.hash, response.fingerprint.quality, response.fingerprint.cost = b"\x0f" * 32, 87, 1
    response.fingerprint.rotations.extend([bytes(32)] * 7)
    result = codec.decode_annotation(response)[Fingerprint]
    assert result == FingerprintResult(cost=1, hash=b"\x0f" * 32, quality=87, rotations=(bytes(32),) * 7)
    upright, *turned = fingerprint.show(result, None).lines
    assert (upright.cells, upright.score) == (("0f" * 32,), 0.87)
    assert [line.kind for line in turned] == ["turned"] * 7


def test_captions_arrive_with_what_they_are() -> None:
    response = annotator_pb2.AnnotateResponse()
    response.caption.captions.add(text="A dog.", language="en", score=0.75, origin=1)
    response.caption.captions.add(text="A cat.", language="en", score=0.25, guess=True, origin=99)
    response.caption.models.add(name="captioner", version="ours 1", research_only=True)
    response.caption.title, response.caption.cost = "Dog", 1
    response.caption.unknown_languages.append("fr")
    response.caption.guesses_left_out = 2
    annotation = codec.decode_annotation(response)
    assert annotation.caption == CaptionResult(
        models=(ModelReference("captioner", "ours 1", research_only=True),),
        cost=1,
        captions=(
            CaptionCandidate("A dog.", "en", 0.75, guess=False),
            CaptionCandidate("A cat.", "en", 0.25, guess=True, origin="unspecified"),
        ),
        title="Dog",
        unknown_languages=("fr",),
        guesses_left_out=2,
    )
    assert list(annotation.results) == ["caption"]


def full_response() -> annotator_pb2.AnnotateResponse:
    response = annotator_pb2.AnnotateResponse(request_id="id", width=4, height=3, cost=2)
    response.tags.models.add(name="tagger", version="1")
    response.tags.cost = 1
    response.tags.unknown_languages.append("eo")
    tag = response.tags.tags.add(id="n1", score=0.5, origin=1)
    tag.names.update({"zh": "猫", "en": "cat", "fr": "chat"})
    parent = tag.parents.add(id="n0")
    parent.names.update({"en": "animal", "fr": "animal"})
    line = response.ocr.lines.add(text="a b", confidence=0.5)
    line.polygon.add(x=1, y=2)
    line.normalized_polygon.add(x=0.25, y=0.5)
    word = line.words.add(text="a", confidence=0.25)
    word.polygon.add(x=3, y=4)
    word.normalized_polygon.add(x=0.5, y=0.25)
    response.ocr.text = "a b"
    response.timings.total.CopyFrom(duration_pb2.Duration(seconds=1, nanos=500_000_000))
    response.timings.stages.add(task="tags", stage=3, duration=duration_pb2.Duration(nanos=250_000_000))
    return response


def test_every_field_of_a_reply_arrives() -> None:
    annotation = codec.decode_annotation(full_response(), ("fr-CA", "en"))
    assert (annotation.request_id, annotation.width, annotation.height, annotation.cost) == ("id", 4, 3, 2)
    assert annotation.tags is not None
    assert annotation.tags.ok
    assert annotation.tags.models == (ModelReference("tagger", "1"),)
    assert (annotation.tags.cost, annotation.tags.unknown_languages) == (1, ("eo",))
    (tag,) = annotation.tags.tags
    assert (tag.id, tag.name, list(tag.names), tag.score, tag.origin) == (
        "n1",
        "chat",
        ["fr", "en", "zh"],
        0.5,
        "machine",
    )
    assert [(parent.id, parent.name) for parent in tag.parents] == [("n0", "animal")]
    assert annotation.ocr is not None
    assert annotation.ocr.text == "a b"
    (line,) = annotation.ocr.lines
    assert (line.text, line.confidence, line.polygon) == ("a b", 0.5, (Point(1, 2),))
    assert line.normalized_polygon == (Point(0.25, 0.5),)
    (word,) = line.words
    assert (word.text, word.confidence, word.polygon) == ("a", 0.25, (Point(3, 4),))
    assert word.normalized_polygon == (Point(0.5, 0.25),)
    assert annotation.timings.total == 1.5
    assert annotation.timings.stages == (StageTiming("tags", "infer", 0.25),)


def test_a_task_that_was_not_asked_for_is_none_and_one_that_failed_is_an_error() -> None:
    response = annotator_pb2.AnnotateResponse()
    response.ocr.status.code = 14
    annotation = codec.decode_annotation(response)
    assert annotation.tags is None
    assert annotation.ocr is not None
    assert not annotation.ocr.ok
    assert isinstance(annotation.ocr.error, UnavailableError)


def test_what_a_newer_server_says_is_no_failure() -> None:
    response = full_response()
    response.tags.tags[0].origin = 7  # type: ignore[assignment]
    response.timings.stages[0].stage = 99  # type: ignore[assignment]
    annotation = codec.decode_annotation(response)
    assert annotation.tags is not None
    assert annotation.tags.tags[0].origin == "unspecified"
    assert annotation.timings.stages[0].stage == "unspecified"


def test_every_stage_has_a_name() -> None:
    for value in timing_pb2.Stage.values():
        response = annotator_pb2.AnnotateResponse()
        response.timings.stages.add(stage=value)
        (stage,) = codec.decode_annotation(response).timings.stages
        assert f"STAGE_{stage.stage.upper()}" == timing_pb2.Stage.Name(value)


def test_a_tag_without_names_is_called_by_its_id() -> None:
    response = annotator_pb2.AnnotateResponse()
    response.tags.tags.add(id="n7")
    annotation = codec.decode_annotation(response)
    assert annotation.tags is not None
    assert annotation.tags.tags[0].name == "n7"


def test_the_catalogue() -> None:
    catalog = codec.decode_catalog(
        catalog_pb2.GetCatalogResponse(
            server_version="1",
            tasks=[
                catalog_pb2.TaskInfo(
                    name="tags",
                    models=["tagger"],
                    languages=["en"],
                    price=1,
                    ready=True,
                    options=[catalog_pb2.OptionInfo(name="max_tags", default_value="8", minimum=0)],
                    scripts=["Latn"],
                    limits=[catalog_pb2.TaskLimit(name="lines", value=9, meaning="no more")],
                )
            ],
            models=[
                catalog_pb2.ModelInfo(name="tagger", version="2", license="MIT", source="s", digest="d", ready=True)
            ],
            limits=catalog_pb2.Limits(image_bytes=1, image_pixels=2, image_side=3, stream_in_flight=4, in_flight=5),
            formats=["image/jpeg"],
        )
    )
    (task,), (model,) = catalog.tasks, catalog.models
    assert (catalog.server_version, catalog.formats, catalog.limits) == ("1", ("image/jpeg",), Limits(1, 2, 3, 4, 5))
    assert (task.name, task.models, task.languages, task.price, task.ready) == ("tags", ("tagger",), ("en",), 1, True)
    assert task.options == (OptionInfo("max_tags", "8", 0.0, None),)
    assert (task.scripts, task.limits) == (("Latn",), (TaskLimit("lines", 9.0, "no more"),))
    assert (model.name, model.version, model.license, model.source) == ("tagger", "2", "MIT", "s")
    assert (model.research_only, model.digest, model.ready) == (False, "d", True)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"asked": [Tags(max_tags=10**20)]}, "tags.max_tags"),
        ({"asked": [Tags(max_tags="3")]}, "tags.max_tags"),  # type: ignore[arg-type]
        ({"asked": [Tags(deny=("ok", "\udce9"))]}, "tags.deny"),
        ({"asked": [Tags(deny="cat")]}, "tags.deny"),  # type: ignore[arg-type]
        ({"asked": [Tags(existing_tags=5)]}, "tags.existing_tags"),  # type: ignore[arg-type]
        ({"asked": [Tags()], "languages": ["\ud800"]}, "languages"),
        ({"asked": [Tags()], "request_id": "\udcff"}, "request_id"),
    ],
)
def test_what_cannot_be_sent_names_its_field(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        codec.encode_request(b"x", **options)
    assert (raised.value.code, raised.value.field) == ("INVALID_ARGUMENT", field)
