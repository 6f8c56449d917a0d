# SPDX-License-Identifier: Apache-2.0
"""Options in protobuf's JSON: read by the tasks' codecs, and what does not fit is named without quoting it."""

from __future__ import annotations

from typing import Any

import pytest
from imagier.v1 import annotator_pb2
from imagier_server.errors import InvalidRequestError
from imagier_server.tasks.ocr.values import OcrOptions
from imagier_server.tasks.tags.values import TagsOptions
from imagier_server.transport.http.asking import asked, message_of


def test_options_of_each_task() -> None:
    wanted = asked(
        b"p", {"ocr": {"words": True}, "tags": {"maxTags": "5", "min_score": 0.5, "allow": ["cat"]}}, ["fr"], "7"
    )
    assert wanted.tasks == {
        "tags": TagsOptions(max_tags=5, min_score=0.5, allow=("cat",)),
        "ocr": OcrOptions(words=True),
    }
    assert (wanted.image, wanted.languages, wanted.request_id) == (b"p", ("fr",), "7")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"secret": {}}, "tasks"),
        ({"tags": None}, "tags"),
        ({"tags": ["secret"]}, "tags"),
        ({"tags": {"secret": 1}}, "tags.secret"),
        ({"tags": {"a secret": 1}}, "tags"),
        ({"tags": {"s" * 65: 1}}, "tags"),
        ({"tags": {"maxTags": "secret"}}, "tags.max_tags"),
        ({"tags": {"maxTags": 1e99}}, "tags.max_tags"),
        ({"tags": {"allow": "secret"}}, "tags.allow"),
        ({"tags": {"allow": [None]}}, "tags.allow"),
        ({"tags": {"candidates": {}}}, "tags.candidates"),
        ({"embedding": {"encoding": "secret"}}, "embedding.encoding"),
        ({"embedding": {"encoding": "1"}}, "embedding.encoding"),
        ({"embedding": {"encoding": 1}}, "embedding.encoding"),
        ({"embedding": {"encoding": None}}, "embedding.encoding"),
        ({"tags": {"allow": ["\ud800"]}}, "tags.allow"),
        ({"tags": {"maxTags": 1, "max_tags": 2}}, "tags"),
    ],
)
def test_what_does_not_fit(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        asked(b"p", options)
    assert raised.value.field == field
    assert "secret" not in raised.value.text


def test_a_fault_deep_in_a_message() -> None:
    with pytest.raises(InvalidRequestError) as raised:
        message_of({"tags": {"maxTags": 1}, "ocr": {"words": 7}}, annotator_pb2.AnnotateRequest)
    assert raised.value.field == "ocr.words"
