# SPDX-License-Identifier: Apache-2.0
"""Characters out of tokens, words out of characters."""

from __future__ import annotations

import numpy as np
import pytest
from imagier_server.tasks.ocr.reading import (
    Character,
    join,
    letters_per_height,
    likely_right,
    read_characters,
    split_words,
)

pytestmark = pytest.mark.unit

CHARSET = ("a", "b", "c", " ")


def read(*tokens: int, width: float = 1.0) -> list[Character]:
    confidences = np.linspace(0.5, 0.9, len(tokens), dtype=np.float32)
    return read_characters(np.array(tokens, np.int32), confidences, CHARSET, width)


def words(text: str) -> list[str]:
    return [join(word) for word in split_words([Character(each, 0.9, 0.0, 0.1) for each in text])]


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ((), ""),
        ((0, 0, 0), ""),
        ((1, 1, 1), "a"),
        ((1, 0, 1), "aa"),
        ((1, 2, 2, 0, 2, 3), "abbc"),
        ((1, 4, 2), "a b"),
    ],
)
def test_repeats_are_one_and_blanks_are_none(tokens: tuple[int, ...], text: str):
    assert join(read(*tokens)) == text


def line(text: str, confidence: float) -> list[Character]:
    return [Character(character, confidence, 0.0, 1.0) for character in text]


def test_confidence_grows_with_the_models_own():
    sure, unsure = likely_right(line("fresh bread", 0.999)), likely_right(line("fresh bread", 0.8))
    assert 0 < unsure < 0.5
    assert 0.9 < sure < 1


def test_confidence_has_a_meaning_at_the_models_extremes():
    assert 0 < likely_right(line("fresh bread", 0.0)) < 0.05
    assert likely_right(line("fresh bread", 1.0)) == likely_right(line("fresh bread", 1 - 1e-7))


def confidence(text: str, length: float) -> float:
    """Of a line `length` times as long as high, on which the model is sure of each character."""
    characters = line(text, 0.99)
    return likely_right(characters, letters_per_height(characters, length))


def test_a_few_letters_on_a_long_line_are_doubted():
    assert confidence(",  , ", 15) < 0.5 < confidence("a b c d e f g h", 6)
    assert confidence("7", 0.8) > 0.5


def test_a_chinese_character_fills_as_much_as_two_letters():
    assert confidence("面包店六点半", 5) == confidence("fresh bread!", 5)


def test_blurred_letters_of_a_faint_page_are_likelier_right_than_they_look():
    letters = line("fresh bread", 0.9)
    assert likely_right(letters) < 0.4
    assert likely_right(letters, faint=True) > 0.6
    assert likely_right(line("fresh bread", 0.7), faint=True) < 0.4
    assert likely_right(line("3", 0.9), faint=True) == likely_right(line("3", 0.9)), "it may be no letter at all"
    assert likely_right([], faint=True) == 0.0


def test_blanks_say_nothing():
    assert confidence("   ", 5) == likely_right([]) == 0.0
    assert likely_right([*line("abc", 0.9), *line(" ", 0.1)]) == likely_right(line("abc", 0.9))


def test_neighbours_meet_half_way_between_their_tokens():
    first, second = read(1, 0, 0, 2, width=0.95)
    assert (first.start, first.end) == pytest.approx((0.0, 0.5))
    assert (second.start, second.end) == pytest.approx((0.5, 0.95))


def test_characters_stay_within_the_line():
    assert all(0 <= each.start <= each.end <= 0.5 for each in read(1, 2, 3, 1, 0, 2, width=0.5))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("   ", []),
        ("Rue des Lilas", ["Rue", "des", "Lilas"]),
        (" a  b ", ["a", "b"]),
        ("人民路24号", ["人", "民", "路", "24", "号"]),
        ("机场 North A1", ["机", "场", "North", "A1"]),
        ("かな，カナ。", ["か", "な", "，", "カ", "ナ", "。"]),
        ("l'été, déjà", ["l'été,", "déjà"]),
        ("서울역 입구", ["서울역", "입구"]),
    ],
)
def test_words(text: str, expected: list[str]):
    assert words(text) == expected
