# SPDX-License-Identifier: Apache-2.0
"""Immich's parallel lists of text (immich_ml 2.2.3 and 3.2)."""

from __future__ import annotations

import pytest
from imagier_server.errors import InvalidRequestError
from imagier_server.tasks.ocr.values import Point, Text, TextLine
from imagier_server.transport.http.immich import ocr
from imagier_server.transport.http.immich.entries import Model, ModelType
from imagier_server.transport.http.immich.places import Sheet

DETECTION, RECOGNITION = ModelType.DETECTION, ModelType.RECOGNITION


def models(name: str, detection: float = 0.5, recognition: float = 0.8) -> dict[ModelType, Model]:
    return {
        DETECTION: Model(modelName=name, options={"minScore": detection, "maxResolution": 736, "scoreMode": "fast"}),
        RECOGNITION: Model(modelName=name, options={"minScore": recognition}),
    }


def line(text: str, left: float, top: float, confidence: float = 0.9) -> TextLine:
    box = Point(left, top), Point(left + 80, top), Point(left + 80, top + 20), Point(left, top + 20)
    return TextLine(text, confidence, box)


@pytest.mark.parametrize(
    "name",
    ["PP-OCRv5_mobile", "PP-OCRv5_server", "CH__PP-OCRv5_server"]
    + [f"{language}__PP-OCRv5_mobile" for language in ("CH", "EL", "EN", "ESLAV", "KOREAN", "LATIN", "TH")],
)
def test_every_name_that_immich_offers_is_ours(name: str) -> None:
    assert ocr.is_ours(models(name))


def test_other_models_and_detection_alone_are_not() -> None:
    assert not ocr.is_ours(models("Tesseract"))
    assert not ocr.is_ours(models("PP-OCRv5_mobile") | {DETECTION: Model(modelName="DBNet")})
    assert not ocr.is_ours({DETECTION: Model(modelName="PP-OCRv5_mobile")})


def test_both_minimum_scores_hold_for_our_one_score() -> None:
    assert ocr.options(models("PP-OCRv5_mobile")) == {"minConfidence": 0.8}
    assert ocr.options(models("PP-OCRv5_mobile", detection=0.9)) == {"minConfidence": 0.9}
    unset = {kind: Model(modelName="PP-OCRv5_mobile") for kind in (DETECTION, RECOGNITION)}
    assert ocr.options(unset) == {"minConfidence": 0.9}, "the default of Immich's server, not that of its caller"
    with pytest.raises(InvalidRequestError) as refused:
        ocr.options(models("PP-OCRv5_mobile", recognition=80))
    assert refused.value.field == "ocr.recognition.options.minScore"


def test_four_parallel_lists_with_boxes_from_0_to_1() -> None:
    """Coordinates in pixels are the well-known fault of third-party servers."""
    found = ocr.answer(Text((line("Lilas", 20, 10, 0.75),)), Sheet(200, 100, 1))
    assert found == {
        "text": ["Lilas"],
        "box": [0.1, 0.1, 0.5, 0.1, 0.5, 0.3, 0.1, 0.3],
        "boxScore": [0.75],
        "textScore": [0.75],
    }


def test_rows_from_the_top_down_each_from_left_to_right() -> None:
    """Two columns are read across, as Immich does; less than ten pixels lower is the same row, from line to line."""
    text = Text((line("A", 10, 100), line("C", 10, 150), line("B", 300, 91), line("D", 300, 159), line("E", 600, 168)))
    found = ocr.answer(text, Sheet(1000, 1000, 1))
    assert found["text"] == ["A", "B", "C", "D", "E"]
    text = Text((line("B", 300, 100), line("A", 10, 110)))
    assert ocr.answer(text, Sheet(1000, 1000, 1))["text"] == ["B", "A"]
    assert all(len(found[name]) == 5 for name in ("boxScore", "textScore"))


def test_the_order_is_that_of_the_picture_in_its_file() -> None:
    """Immich does not apply the EXIF orientation: what is lowest in a picture upside down comes first."""
    text = Text((line("upper", 10, 10), line("lower", 10, 60)))
    found = ocr.answer(text, Sheet(200, 100, 3))
    assert found["text"] == ["lower", "upper"]
    assert found["box"][:2] == pytest.approx([0.55, 0.2])


@pytest.mark.parametrize(("size", "texts"), [((32, 32), 1), ((31, 400), 0), ((400, 31), 0)])
def test_nothing_is_found_in_a_picture_of_less_than_32_pixels(size: tuple[int, int], texts: int) -> None:
    found = ocr.answer(Text((line("x", 0, 0),)), Sheet(*size, 1))
    assert [len(found[name]) for name in ("text", "box", "boxScore", "textScore")] == [texts, texts * 8, texts, texts]
