# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from imagier_server.errors import InvalidRequestError
from imagier_server.transport.http.facades.openai_chat import fields_of
from support.asked_models import model

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}}


def test_a_format_asks_for_text_for_any_json_or_for_fields() -> None:
    assert fields_of(model(), "text", None, "format") is None
    assert list(fields_of(model("imagier-tags"), "json_object", None, "format") or ()) == ["tags", "labels", "keywords"]
    assert list(fields_of(model(), "json_schema", SCHEMA, "format") or ()) == ["text"]


@pytest.mark.parametrize(
    ("kind", "schema", "field"),
    [
        ("xml", None, "format.type"),
        ("json_schema", None, "format.schema"),
        ("json_schema", {"type": "array"}, "format.schema"),
    ],
)
def test_another_format_is_refused(kind: str, schema: object, field: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        fields_of(model(), kind, schema, "format")
    assert refused.value.field == field
