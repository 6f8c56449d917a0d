# SPDX-License-Identifier: Apache-2.0
"""ALTO that the official schema accepts, with every word in its place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagier.v1.annotator_pb2 import AnnotateResponse
from imagier_client.codec import decode_annotation
from imagier_client.documents.alto import NAMESPACE, to_alto
from imagier_client.errors import ImagierClientError
from lxml import etree

SCHEMA = etree.XMLSchema(etree.parse(Path(__file__).with_name("schemas") / "alto-4-3.xsd"))
WHEN = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def add_line(made: AnnotateResponse, text: str, place: tuple[float, float, float, float], *words: str) -> None:
    """A line at left, top, right, bottom; its words share it evenly, with a gap of a quarter of a word."""
    left, top, right, bottom = place
    line = made.ocr.lines.add(text=text, confidence=0.9)
    each = (right - left) / max(1, len(words))
    for item, begin, end in [(line, left, right)] + [
        (line.words.add(text=word, confidence=0.875), left + n * each, left + (n + 0.75) * each)
        for n, word in enumerate(words)
    ]:
        for x, y in ((begin, top), (end, top), (end, bottom), (begin, bottom)):
            item.polygon.add(x=x, y=y)
            item.normalized_polygon.add(x=x / made.width, y=y / made.height)


def response() -> AnnotateResponse:
    made = AnnotateResponse(width=640, height=480)
    made.ocr.models.add(name="text_detector", version="detector 1")
    made.ocr.models.add(name="text_recognizer", version="recognizer 2")
    add_line(made, "Rue des Lilas", (100.4, 50, 300, 80), "Rue", "des", "Lilas")
    add_line(made, "中国 OCR", (100, 82, 300, 112), "中", "国", "OCR")
    return made


def document(made: AnnotateResponse, image: str = "page.tif", when: datetime = WHEN) -> etree._Element:
    root = etree.fromstring(to_alto(decode_annotation(made, ("en",)), image, when))
    SCHEMA.assertValid(root)
    return root


def found(root: etree._Element, path: str) -> list[etree._Element]:
    return root.findall(path, {None: NAMESPACE})


def test_words_blanks_and_characters() -> None:
    root = document(response())
    (page,) = found(root, ".//Page")
    assert dict(page.attrib) == {
        "ID": "page_1",
        "PHYSICAL_IMG_NR": "1",
        "PROCESSINGREFS": "text",
        "WIDTH": "640",
        "HEIGHT": "480",
        "PC": "0.900",
    }
    first, second = found(root, ".//TextBlock/TextLine")
    assert [(etree.QName(item).localname, item.get("CONTENT")) for item in first[1:]] == [
        ("String", "Rue"),
        ("SP", None),
        ("String", "des"),
        ("SP", None),
        ("String", "Lilas"),
    ]
    assert first.get("BASELINE") == "100,80 300,80"
    assert found(first, "Shape/Polygon")[0].get("POINTS") == "100,50 300,50 300,80 100,80"
    (rue, *_) = found(first, "String")
    assert [rue.get(name) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT", "WC")] == ["100", "50", "50", "30", "0.875"]
    assert [found(first, "SP")[0].get(name) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")] == [
        "150",
        "50",
        "17",
        "30",
    ]
    chinese, latin = found(second, "String")
    assert (chinese.get("CONTENT"), chinese.get("CC"), latin.get("CONTENT")) == ("中国", "1 1", "OCR")
    assert [glyph.get("CONTENT") for glyph in found(chinese, "Glyph")] == ["中", "国"]
    assert len(found(second, "SP")) == 1


@pytest.mark.parametrize(
    ("first", "second", "blank"),
    [
        ((10, 10, 50, 30), (60, 12, 90, 32), (50, 10, 10, 22)),
        ((60, 12, 90, 32), (10, 10, 50, 30), (50, 10, 10, 22)),
        ((10, 10, 30, 50), (12, 60, 32, 90), (10, 50, 22, 10)),
        ((12, 60, 32, 90), (10, 10, 30, 50), (10, 50, 22, 10)),
        ((10, 10, 50, 30), (45, 10, 90, 30), (45, 10, 0, 20)),
    ],
)
def test_a_blank_stands_between_its_words_whichever_way_they_run(
    first: tuple[int, ...], second: tuple[int, ...], blank: tuple[int, ...]
) -> None:
    made = AnnotateResponse(width=640, height=480)
    add_line(made, "Rue des", (10, 10, 90, 90), "Rue", "des")
    for word, (left, top, right, bottom) in zip(made.ocr.lines[0].words, (first, second), strict=True):
        for point, (x, y) in zip(
            word.polygon, ((left, top), (right, top), (right, bottom), (left, bottom)), strict=True
        ):
            point.x, point.y = x, y
    (space,) = found(document(made), ".//SP")
    assert tuple(int(space.get(name)) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")) == blank


def test_who_read_it_and_when() -> None:
    made = response()
    made.tags.status.code, made.tags.status.message = 14, "no engine"
    root = document(made, when=WHEN.astimezone(timezone(timedelta(hours=2))))
    text, tags = found(root, "Description/Processing")
    assert [found(text, name)[0].text for name in ("processingDateTime", "processingStepDescription")] == [
        "2026-11-21T09:30:00+00:00",
        "ocr: OK",
    ]
    assert found(text, "processingStepSettings")[0].text == "text_detector: detector 1; text_recognizer: recognizer 2"
    assert found(text, "processingSoftware/softwareName")[0].text == "Imagier"
    assert found(tags, "processingStepDescription")[0].text == "tags: UNAVAILABLE"


def test_tags_say_what_the_picture_shows() -> None:
    made = response()
    made.tags.tags.add(id="n1", score=0.5).names["en"] = "street sign"
    (tag,) = found(document(made), "Tags/OtherTag")
    assert (tag.get("LABEL"), tag.get("DESCRIPTION")) == ("street sign", "WordNet 3.0 n1, score 0.50")


@pytest.mark.parametrize(
    ("text", "order", "expected"),
    [
        ("Rue", (0, 1, 2, 3), {}),
        ("Rue", (3, 0, 1, 2), {"ROTATION": "90.0"}),
        ("Rue", (2, 3, 0, 1), {"ROTATION": "180.0"}),
        ("Rue", (1, 2, 3, 0), {"ROTATION": "-90.0"}),
        ("有評是", (1, 2, 3, 0), {"BASEDIRECTION": "ttb", "LANG": "zh"}),
    ],
)
def test_the_direction_of_a_block(text: str, order: tuple[int, ...], expected: dict[str, str]) -> None:
    made = AnnotateResponse(width=640, height=480)
    add_line(made, text, (100, 50, 140, 400))
    points = list(made.ocr.lines[0].polygon)
    del made.ocr.lines[0].polygon[:]
    made.ocr.lines[0].polygon.extend(points[index] for index in order)
    (block,) = found(document(made), ".//TextBlock")
    assert {name: block.get(name) for name in ("ROTATION", "BASEDIRECTION", "LANG") if block.get(name)} == expected


def test_a_picture_without_text_is_an_empty_page() -> None:
    made = AnnotateResponse(width=640, height=480)
    made.ocr.SetInParent()
    (space,) = found(document(made), ".//PrintSpace")
    assert len(space) == 0


def test_no_document_without_text() -> None:
    made = AnnotateResponse(width=1, height=1)
    made.ocr.status.code = 14
    with pytest.raises(ImagierClientError):
        to_alto(decode_annotation(made), "a", WHEN)


@given(st.text(max_size=8), st.text(max_size=8), st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4))
def test_any_text_and_any_name_anywhere_is_valid(text: str, image: str, place: list[float]) -> None:
    made = AnnotateResponse(width=640, height=480)
    clean = text.encode("utf-8", "ignore").decode()  # protobuf holds no lone surrogates; names of files may
    add_line(made, clean, (place[0], place[1], place[2], place[3]), *clean.split())
    root = document(made, image)
    for item in found(root, ".//String"):
        assert 0 <= float(item.get("HPOS")) <= float(item.get("HPOS")) + float(item.get("WIDTH")) <= 640
        assert 0 <= float(item.get("VPOS")) <= float(item.get("VPOS")) + float(item.get("HEIGHT")) <= 480
