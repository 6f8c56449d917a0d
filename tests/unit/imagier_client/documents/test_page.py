# SPDX-License-Identifier: Apache-2.0
"""Blocks, directions and words as documents have them."""

from __future__ import annotations

import math

import pytest
from imagier.v1.annotator_pb2 import AnnotateResponse
from imagier_client.codec import decode_annotation
from imagier_client.documents.page import Block, Box, blocks, box, language, text_of, words, xml_text
from imagier_client.errors import UnavailableError
from imagier_client.tasks.ocr import TextLine, TextWord
from imagier_client.tasks.shown import Point, Polygon


def corners(x: float, y: float, width: float = 200, height: float = 20, angle: float = 0) -> Polygon:
    """A box whose reading begins at (x, y), turned clockwise by `angle` degrees around that place."""
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    places = ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
    return tuple(Point(x + across * cos - down * sin, y + across * sin + down * cos) for across, down in places)


def line(text: str, *place: float, words: tuple[TextWord, ...] = ()) -> TextLine:
    return TextLine(text, 0.9, corners(*place), (), words)


def grouped(*lines: TextLine) -> list[list[str]]:
    return [[member.text for member in block.lines] for block in blocks(lines)]


def test_lines_below_each_other_are_a_block() -> None:
    assert grouped(line("a", 10, 10), line("b", 10, 35), line("c", 60, 62)) == [["a", "b", "c"]]


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ((10, 80), "a gap"),
        ((300, 35), "beside, and lower"),
        ((10, 35, 200, 40), "twice as high"),
        ((10, 35, 200, 20, 30), "turned"),
        ((10, -300), "the next column"),
    ],
)
def test_what_begins_a_new_block(place: tuple[float, ...], why: str) -> None:
    assert grouped(line("a", 10, 10), line("b", *place)) == [["a"], ["b"]], why


def test_pieces_of_one_row_stay_together() -> None:
    rows = line("Coffee", 10, 10, 80), line("3.40", 400, 11, 50), line("Cake", 10, 35, 60), line("2.10", 400, 36, 50)
    assert grouped(*rows) == [["Coffee", "3.40", "Cake", "2.10"]]


@pytest.mark.parametrize("angle", [-170, -90, -30, 0, 30, 90, 135, 180])
def test_a_turned_page_has_the_blocks_of_the_upright_one(angle: float) -> None:
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turned = [
        line(text, x * cos - y * sin, x * sin + y * cos, 200, 20, angle)
        for text, x, y in (("a", 10, 10), ("b", 10, 35), ("c", 10, 120))
    ]
    assert grouped(*turned) == [["a", "b"], ["c"]]
    assert blocks(turned)[0].rotation == pytest.approx(angle if angle < 180 else -180)


def test_columns_of_characters_are_not_turned_text() -> None:
    down = (300, 10, 200, 20, 90)
    assert Block((line("有評是是非非", *down),)).vertical
    assert not Block((line("Rue des Lilas", *down),)).vertical
    assert not Block((line("有評是是非非", 10, 10),)).vertical


def test_what_a_script_tells_of_the_language() -> None:
    texts = ("Rue", "中国", "ストリート", "한국어")
    page = [Block((line(text, 10, 10),)) for text in texts]
    assert [language(block, page) for block in page] == [None, "ja", "ja", "ko"]
    assert language(page[1], page[:2]) == "zh"


def word(text: str, confidence: float, *place: float) -> TextWord:
    return TextWord(text, confidence, corners(*place), ())


def test_a_blank_follows_where_the_line_has_one() -> None:
    parts = word("Rue", 0.9, 0, 0, 30), word("des", 0.8, 40, 0, 30), word("des", 0.7, 70, 0, 30)
    found = words(line("Rue desdes", 0, 0, words=parts))
    assert [(one.text, one.confidence, one.blank) for one in found] == [
        ("Rue", 0.9, True),
        ("des", 0.8, False),
        ("des", 0.7, False),
    ]


def test_chinese_characters_are_one_word_until_a_blank() -> None:
    parts = [word(text, 0.5 + n / 10, n * 20, 0, 20) for n, text in enumerate("中国人")] + [word("OCR", 0.9, 60, 0, 50)]
    found = words(line("中国 人OCR", 0, 0, words=tuple(parts)))
    assert [(one.text, one.blank, len(one.characters)) for one in found] == [
        ("中国", True, 2),
        ("人", False, 0),
        ("OCR", False, 0),
    ]
    assert found[0].confidence == pytest.approx(0.55)
    assert found[0].polygon == corners(0, 0, 40)


def test_a_line_without_words_is_one() -> None:
    (found,) = words(line("Rue des Lilas", 0, 0))
    assert (found.text, found.blank, found.characters) == ("Rue des Lilas", False, ())


def test_a_box_is_whole_pixels_within_the_picture() -> None:
    annotation = decode_annotation(AnnotateResponse(width=100, height=50))
    assert box(corners(-3.2, 10.4, 200, 99), annotation) == Box(0, 10, 100, 50)
    assert (box(corners(5, 5, 10, 10), annotation).width, box(corners(5, 5, 10, 10), annotation).height) == (10, 10)


def test_what_xml_cannot_hold_is_replaced() -> None:
    assert xml_text("a\x00b\x1bc\ud800\uffff<&\t𠀀é") == "a\ufffdb\ufffdc\ufffd\ufffd<&\t𠀀é"


def test_text_that_was_not_asked_for_or_failed() -> None:
    made = AnnotateResponse()
    with pytest.raises(ValueError, match="no OCR"):
        text_of(decode_annotation(made))
    made.ocr.status.code = 14
    with pytest.raises(UnavailableError):
        text_of(decode_annotation(made))
