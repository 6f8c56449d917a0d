# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest
from imagier_server.errors import Full, ImagierError, ModelUnavailableError, NothingFoundError, OverloadedError
from imagier_server.tasks.caption.values import CaptionOptions
from imagier_server.tasks.ocr.values import OcrOptions
from imagier_server.tasks.tags.values import TagsOptions
from imagier_server.transport.http.dialect.question import Question, of_any_json, of_schema
from support.asked_models import NOTHING, annotation, model


def schema(**properties: object) -> object:
    return {"type": "object", "properties": properties}


def asked(name: str = "imagier", *languages: str, **properties: object) -> Question:
    return Question(model(name), of_schema(model(name), schema(**properties), "format"), languages)


def test_the_model_says_which_tasks_run() -> None:
    assert Question(model("imagier")).request(b"x").tasks == {
        "caption": CaptionOptions(),
        "tags": TagsOptions(),
        "ocr": OcrOptions(),
    }
    assert Question(model("imagier-tags")).request(b"x").tasks == {"tags": TagsOptions()}


def test_the_fields_say_which_tasks_run() -> None:
    assert asked(labels={}).tasks == ("tags",)
    assert asked(text={}, title={}).tasks == ("caption", "ocr")


def test_plain_text_is_what_each_task_says() -> None:
    assert Question(model("imagier-caption")).answer(annotation()) == "A cat sits on a rock."
    assert Question(model("imagier-tags")).answer(annotation()) == "tabby, cat"
    assert Question(model("imagier-ocr")).answer(annotation()) == "STOP\nHERE"
    assert Question(model("imagier")).answer(annotation()) == "A cat sits on a rock.\n\ntabby, cat\n\nSTOP\nHERE"


def test_plain_text_of_nothing_is_empty() -> None:
    assert Question(model("imagier")).answer(annotation(results=NOTHING)) == ""


def test_json_has_the_fields_asked_for() -> None:
    answer = json.loads(asked(title={}, labels={}).answer(annotation()))
    assert answer == {
        "title": "Cat sitting on rock",
        "labels": [
            {"name": "tabby", "confidence": 0.9, "score": 0.9, "topicality": 0.9},
            {"name": "cat", "confidence": 0.95, "score": 0.95, "topicality": 0.95},
        ],
    }


def test_json_without_a_schema_has_all_fields_of_the_model() -> None:
    question = Question(model("imagier"), of_any_json(model("imagier")))
    answer = json.loads(question.answer(annotation()))
    assert list(answer) == ["caption", "description", "title", "tags", "labels", "keywords", "text"]
    assert (answer["caption"], answer["tags"], answer["text"]) == (
        "A cat sits on a rock.",
        ["tabby", "cat"],
        "STOP\nHERE",
    )
    assert json.loads(question.answer(annotation(results=NOTHING))) == {
        "caption": "", "description": "", "title": "", "tags": [], "labels": [], "keywords": [], "text": "",
    }  # fmt: skip


def test_names_are_in_the_preferred_language() -> None:
    assert asked("imagier-tags", "fr", tags={}).answer(annotation()) == '{"tags": ["chat tigré", "chat"]}'
    assert asked("imagier-tags", "de", "en", tags={}).answer(annotation()) == '{"tags": ["tabby", "cat"]}'
    assert Question(model("imagier-tags"), None, ("sw",)).answer(annotation()) == "tabby, cat"


def test_a_preference_is_no_demand() -> None:
    # The captioner speaks English only, and refuses a request that is content with nothing but French.
    assert Question(model("imagier"), None, ("fr",)).request(b"x").languages == ("fr", "en")
    assert Question(model("imagier")).request(b"x").languages == ()


def test_a_failed_task_fails_the_question_and_never_leaves_its_field_empty() -> None:
    busy: ImagierError = OverloadedError("busy", Full.QUEUE)
    for question in (Question(model("imagier")), asked(caption={}, tags={})):
        with pytest.raises(ModelUnavailableError):
            question.answer(annotation({"tags": ModelUnavailableError("away")}))
        with pytest.raises(OverloadedError):
            question.answer(annotation({"tags": NothingFoundError("none"), "caption": busy}))


def test_at_least_one_is_never_made_up() -> None:
    with pytest.raises(NothingFoundError) as refused:
        asked(tags={"type": "array", "minItems": 1}).answer(annotation(results=NOTHING))
    assert refused.value.field == "tags"
