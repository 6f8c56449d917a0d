# SPDX-License-Identifier: Apache-2.0
"""What Immich asks for, and its server's words for what is wrong with it (immich_ml 2.2.3 and 3.2)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from imagier_server.errors import InvalidRequestError
from imagier_server.transport.http.immich.entries import (
    EntriesError,
    MissingEntriesError,
    Model,
    ModelTask,
    ModelType,
    read,
    written,
)

ASKED: dict[str, Any] = {
    "ocr": {
        "detection": {"modelName": "PP-OCRv5_mobile", "options": {"minScore": 0.5, "maxResolution": 736}},
        "recognition": {"modelName": "PP-OCRv5_mobile", "options": {"minScore": 0.8}},
    },
    "clip": {"visual": {"modelName": "ViT-B-32__openai"}},
}


def test_several_tasks() -> None:
    tasks = read(json.dumps(ASKED))
    assert [*tasks] == [ModelTask.OCR, ModelTask.CLIP]
    assert tasks[ModelTask.OCR][ModelType.DETECTION].options["maxResolution"] == 736
    assert tasks[ModelTask.CLIP][ModelType.VISUAL].options == {}


def test_what_is_relayed_says_the_same() -> None:
    again = json.loads(written(read(json.dumps(ASKED))))
    assert again["ocr"] == ASKED["ocr"]
    assert again["clip"]["visual"]["modelName"] == "ViT-B-32__openai"


def test_no_entries_field_is_a_fault_of_its_own() -> None:
    with pytest.raises(MissingEntriesError):
        read(None)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "7", "[" * 100_000, '{"smell": {}}', '{"ocr": {"taste": {"modelName": "x"}}}',
        '{"ocr": {"detection": {}}}', '{"ocr": {"detection": {"modelName": 7}}}',
        '{"ocr": {"detection": {"modelName": "x", "options": []}}}',
        '{"ocr": {"detection": {"modelName": "x", "colour": "red"}}}',
    ],
)  # fmt: skip
def test_unknown_tasks_types_and_keys_are_refused_as_immich_does(text: str) -> None:
    with pytest.raises(EntriesError, match=r"^Invalid request format\.$"):
        read(text)


@pytest.mark.parametrize("text", ["{}", '{"ocr": {}}', '{"ocr": {}, "clip": {}}'])
def test_nothing_asked_for(text: str) -> None:
    with pytest.raises(EntriesError, match=r"^No model task requested\.$"):
        read(text)


def test_recognition_without_detection() -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read('{"facial-recognition": {"recognition": {"modelName": "buffalo_l"}}}')
    assert refused.value.field == "facial-recognition.detection"


@pytest.mark.parametrize(
    ("name", "file"),
    [("PP-OCRv5_mobile", "PP-OCRv5_mobile"), ("immich-app/PP-OCRv5_mobile", "PP-OCRv5_mobile"), (r"a:b\c.d", "a_b_cd")],
)
def test_names_are_read_as_immich_cleans_them(name: str, file: str) -> None:
    assert Model(modelName=name).file == file


def test_the_minimum_score() -> None:
    assert Model(modelName="x", options={"minScore": 0}).min_score("ocr.detection", 0.5) == 0
    assert Model(modelName="x").min_score("ocr.detection", 0.5) == 0.5
    for wrong in ("0.5", True, -0.1, 1.1, None, [], float("nan")):
        with pytest.raises(InvalidRequestError) as refused:
            Model(modelName="x", options={"minScore": wrong}).min_score("ocr.detection", 0.5)
        assert refused.value.field == "ocr.detection.options.minScore"
