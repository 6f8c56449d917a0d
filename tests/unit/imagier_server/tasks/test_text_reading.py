# SPDX-License-Identifier: Apache-2.0
"""Characters out of tokens, words out of characters."""

from __future__ import annotations

import numpy as np
import pytest
from imagier_server.tasks.text_reading import Character, join, read_characters, split_words

pytestmark = pytest.mark.unit

CHARSET = ("a", "b", "c", " ")


def read(*tokens: int, width: float = 1.0) -> list[Character]:
    confidences = np.linspace(0.5, 0.9, len(tokens), dtype=np.float32)
    return read_characters(np.array(tokens, np.int32), confidences, CHARSET, width)


def words(text: str) -> list[str]:
    return [join(word)[0] for word in split_words([Character(each, 0.9, 0.0, 0.1) for each in text])]


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
    assert join(read(*tokens))[0] == text


def test_a_lines_confidence_is_the_mean_of_its_characters_first_tokens():
    assert join(read(1, 1, 0, 2, 0))[1] == pytest.approx((0.5 + 0.8) / 2)
    assert join([]) == ("", 0.0)


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
