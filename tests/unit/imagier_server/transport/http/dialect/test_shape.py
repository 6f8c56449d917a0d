# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from imagier_server.errors import NothingFoundError
from imagier_server.transport.codecs.words import Form, Said
from imagier_server.transport.http.dialect.shape import Shape, joint, usual
from support.asked_models import model

SAID = (Said("tabby", 0.91), Said("cat", 0.95678))
TAGS = model().fields["tags"]


@pytest.mark.parametrize(
    ("shape", "value", "of_nothing"),
    [
        (Shape(Form.STRING), "tabby, cat", ""),
        (Shape(Form.STRINGS), ["tabby", "cat"], []),
        (Shape(Form.STRINGS, most=1), ["tabby"], []),
        (
            Shape(Form.OBJECTS, ("name", "topicality")),
            [{"name": "tabby", "topicality": 0.91}, {"name": "cat", "topicality": 0.9568}],
            [],
        ),
        (Shape(Form.OBJECT, ("name", "score")), {"name": "tabby, cat", "score": 0.91}, {"name": "", "score": 0.0}),
        (Shape(Form.STRING, nullable=True), "tabby, cat", None),
        (Shape(Form.OBJECT, ("name",), nullable=True), {"name": "tabby, cat"}, None),
        (Shape(Form.STRINGS, nullable=True), ["tabby", "cat"], []),
    ],
)
def test_each_form_is_filled_with_what_is_said(shape: Shape, value: object, of_nothing: object) -> None:
    assert shape.fill(SAID, TAGS, "tags") == value
    assert shape.fill((), TAGS, "tags") == of_nothing


@pytest.mark.parametrize("form", [Form.STRING, Form.STRINGS])
def test_less_than_must_be_is_never_made_up(form: Form) -> None:
    with pytest.raises(NothingFoundError) as refused:
        Shape(form, least=1).fill((), TAGS, "tags")
    assert refused.value.field == "tags"


def test_several_are_as_sure_as_the_least_sure() -> None:
    assert joint(SAID, TAGS) == Said("tabby, cat", 0.91)
    assert joint((), TAGS) == Said("", 0.0)


def test_a_field_has_a_usual_form() -> None:
    fields = model().fields
    assert {name: usual(name, words).form.name for name, words in fields.items()} == {
        "caption": "STRING", "description": "STRING", "title": "STRING",
        "tags": "STRINGS", "labels": "OBJECTS", "keywords": "STRINGS",
        "text": "STRING",
    }  # fmt: skip
