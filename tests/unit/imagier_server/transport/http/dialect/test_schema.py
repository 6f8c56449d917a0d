# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagier_server.errors import InvalidRequestError
from imagier_server.transport.codecs.words import Form
from imagier_server.transport.http.dialect.schema import read
from imagier_server.transport.http.dialect.shape import Shape
from support.asked_models import model

WORDS = model().fields
TEXT = {"type": "string"}
STRINGS = {"type": "array", "items": TEXT}
SCORE = {"type": "number", "minimum": 0, "maximum": 1}


def wanting(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def shapes(schema: object) -> dict[str, Shape]:
    return dict(read(schema, WORDS, "format"))


def refused(schema: object) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as error:
        shapes(schema)
    return error.value


def test_fields_are_filled_in_the_types_asked_for() -> None:
    label = wanting("name", "confidence", "topicality", name=TEXT, confidence=SCORE, topicality=SCORE)
    asked = wanting(
        "title",
        "labels",
        title=TEXT,
        caption=wanting("text", text=TEXT, confidence={"type": "number"}),
        labels={"type": "array", "items": label, "default": []},
        keywords=TEXT,
        text=STRINGS,
    )
    assert shapes(asked) == {
        "title": Shape(Form.STRING),
        "caption": Shape(Form.OBJECT, ("text", "confidence")),
        "labels": Shape(Form.OBJECTS, ("name", "confidence", "topicality")),
        "keywords": Shape(Form.STRING),
        "text": Shape(Form.STRINGS),
    }


def test_a_field_that_may_be_missing_is_left_out_if_nothing_fills_it() -> None:
    assert shapes(wanting("tags", tags=STRINGS, mood=TEXT)) == {"tags": Shape(Form.STRINGS)}
    entry = wanting("name", name=TEXT, colour=TEXT)
    assert shapes(wanting(labels={"type": "array", "items": entry})) == {"labels": Shape(Form.OBJECTS, ("name",))}


def test_a_field_of_any_type_has_its_usual_one() -> None:
    assert shapes(wanting("tags", tags={})) == shapes({"properties": {"tags": True}})
    assert shapes(wanting("tags", tags={})) == shapes({"properties": {}, "required": ["tags"]})
    assert shapes(wanting("tags", tags={}))["tags"].form is Form.STRINGS


def test_the_schemas_that_pydantic_and_zod_write_are_read() -> None:
    pydantic = {
        "$defs": {"Label": wanting("name", name={"title": "Name", "type": "string"})},
        "properties": {
            "labels": {"items": {"$ref": "#/$defs/Label"}, "title": "Labels", "type": "array"},
            "caption": {
                "anyOf": [{"type": "string"}, {"type": "null"}],
                "default": None,
                "description": "What it shows",
            },
        },
        "required": ["labels"],
        "title": "Answer",
        "type": "object",
    }
    assert shapes(pydantic) == {
        "labels": Shape(Form.OBJECTS, ("name",)),
        "caption": Shape(Form.STRING, nullable=True),
    }
    zod = {"$schema": "https://json-schema.org/draft/2020-12/schema", **wanting("tags", tags=STRINGS)}
    assert shapes(zod) == {"tags": Shape(Form.STRINGS)}
    whole = {"$ref": "#/definitions/schema", "definitions": {"schema": wanting("tags", tags=STRINGS)}}
    assert shapes(whole) == {"tags": Shape(Form.STRINGS)}
    assert shapes(wanting(title={"type": ["string", "null"]})) == {"title": Shape(Form.STRING, nullable=True)}
    assert shapes(wanting(title={"allOf": [{"$ref": "#/$defs/T"}]}) | {"$defs": {"T": TEXT}}) == {
        "title": Shape(Form.STRING)
    }


def test_bounds_that_can_be_kept_are_kept() -> None:
    several = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": 3}
    asked = wanting("title", tags=several | {"uniqueItems": True}, title={"type": "string", "minLength": 1})
    assert shapes(asked) == {
        "title": Shape(Form.STRING, least=1),
        "tags": Shape(Form.STRINGS, least=1, most=3),
    }


def test_the_first_alternative_that_can_be_filled_is_taken() -> None:
    either = {"anyOf": [{"type": "integer"}, {"enum": ["cat"]}, {"type": "array", "items": TEXT}, TEXT]}
    assert shapes(wanting("tags", tags=either)) == {"tags": Shape(Form.STRINGS)}


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        (wanting("tags", "mood", tags=STRINGS, mood=TEXT), "format.mood"),
        (wanting("mood", mood=TEXT), "format.mood"),
        (wanting(mood=TEXT), "format"),
        (wanting(), "format"),
        (wanting("a name of <b>anything</b>"), "format.…"),
        (wanting("tags", tags={"type": "array", "items": {"enum": ["cat", "dog"]}}), "format.tags[]"),
        (wanting("title", title={"const": "x"}), "format.title"),
        (wanting("title", title={"type": "string", "pattern": "(a+)+$"}), "format.title"),
        (wanting("title", title={"type": "string", "maxLength": 3}), "format.title"),
        (wanting("title", title={"type": "string", "minLength": 20}), "format.title"),
        (wanting("title", title={"type": "string", "format": "date"}), "format.title"),
        (wanting("title", title={"type": "integer"}), "format.title"),
        (wanting("title", title={"type": "null"}), "format.title"),
        (wanting("title", title={"type": {"a": 1}}), "format.title"),
        (wanting("tags", tags={"type": "array", "items": {"type": "integer"}}), "format.tags[]"),
        (wanting("tags", tags={"type": "array", "items": STRINGS}), "format.tags[]"),
        (wanting("tags", tags={"type": "array", "items": TEXT, "maxItems": 0}), "format.tags"),
        (wanting("tags", tags={"type": "array", "items": TEXT, "minItems": 4, "maxItems": 3}), "format.tags"),
        (wanting("tags", tags={"type": "array", "prefixItems": [TEXT]}), "format.tags"),
        (
            wanting("labels", labels={"type": "array", "items": wanting("name", "nsfw", name=TEXT)}),
            "format.labels[].nsfw",
        ),
        (wanting("labels", labels={"type": "array", "items": wanting("score", score=SCORE)}), "format.labels[]"),
        (
            wanting("labels", labels={"type": "array", "items": wanting(name=TEXT, score={"type": "integer"})}),
            "format.labels[].score",
        ),
        (
            wanting("labels", labels={"type": "array", "items": wanting(name=TEXT, score=SCORE | {"minimum": 0.5})}),
            "format.labels[].score",
        ),
        (wanting("tags", tags={"$ref": "https://example.org/tags"}), "format.tags"),
        (wanting("tags", tags={"$ref": "#/$defs/Nothing"}), "format.tags"),
        ({"type": "array", "items": TEXT}, "format"),
        ({"type": "object", "patternProperties": {".*": TEXT}}, "format"),
        ({"type": "object", "properties": ["tags"]}, "format"),
        ({"not": {}}, "format"),
        ({}, "format"),
        ("tags", "format"),
        (None, "format"),
        (wanting(tags=True, title=1), "format.title"),
    ],
)
def test_what_cannot_be_met_is_refused_by_name(schema: object, field: str) -> None:
    assert refused(schema).field == field


def test_a_model_of_one_task_fills_the_fields_of_that_task_only() -> None:
    words = model("imagier-ocr").fields
    assert read(wanting("text", text=TEXT, tags=STRINGS), words, "format") == {"text": Shape(Form.STRING)}
    with pytest.raises(InvalidRequestError, match="cannot fill: it has text") as error:
        read(wanting("text", "tags", text=TEXT, tags=STRINGS), words, "format")
    assert error.value.field == "format.tags"


def test_references_that_go_round_or_branch_without_end_are_refused() -> None:
    round_and_round = wanting("tags", tags={"$ref": "#/$defs/a"}) | {"$defs": {"a": {"$ref": "#/$defs/a"}}}
    assert "parts" in refused(round_and_round).text
    names = {f"{n}": {"anyOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(40)} | {"40": {"type": "integer"}}
    assert "parts" in refused(wanting("tags", tags={"$ref": "#/$defs/0"}) | {"$defs": names}).text


KEYWORDS = ["type", "properties", "required", "items", "anyOf", "$ref", "allOf", "minItems", "maxItems", "tags", "name"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYWORDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(json_values)
def test_whatever_it_is_it_is_read_or_refused(schema: object) -> None:
    try:
        assert shapes(schema)
    except InvalidRequestError as error:
        assert error.field
        json.dumps(error.field)
