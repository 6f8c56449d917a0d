# SPDX-License-Identifier: Apache-2.0
"""The list beside a drawn picture: complete, and no wider than its room."""

from __future__ import annotations

from imagier.v1.annotator_pb2 import AnnotateResponse
from imagier_client.codec import decode_annotation
from imagier_client.fonts import plain
from imagier_client.legend import Legend, fitting_legend


def legend(response: AnnotateResponse, height: int = 400, width: int = 300) -> Legend:
    return fitting_legend(decode_annotation(response, ("en", "fr")), height, width)


def with_lines(*texts: str) -> AnnotateResponse:
    made = AnnotateResponse()
    for text in texts:
        made.text.lines.add(text=text, confidence=0.9)
    return made


def test_tags_then_numbered_lines() -> None:
    made = with_lines("one", "two")
    made.tags.tags.add(id="n1", score=0.5).names.update({"en": "cat", "fr": "chat"})
    made.tags.tags.add(id="n2", score=0.25).names.update({"en": "dog", "fr": "dog"})
    assert [(row.number, row.text, row.score) for row in legend(made).rows] == [
        (0, "tags", ""),
        (0, "cat · chat", "0.50"),
        (0, "dog", "0.25"),
        (0, "text", ""),
        (1, "one", "0.90"),
        (2, "two", "0.90"),
    ]


def test_long_lines_are_wrapped_and_nothing_is_lost() -> None:
    text = "a fairly long line of text with a veryveryveryveryveryveryveryveryveryveryveryverylongword in it"
    made = legend(with_lines(text))
    assert "".join(row.text for row in made.rows[1:]).replace(" ", "") == text.replace(" ", "")
    assert [row.number for row in made.rows[1:]] == [1] + [0] * (len(made.rows) - 2)
    assert all(plain(made.size).getlength(row.text) < made.width for row in made.rows)


def test_many_lines_make_the_font_smaller_and_then_the_list_higher() -> None:
    few, some, many = (legend(with_lines(*["word"] * count)) for count in (2, 18, 200))
    assert few.size > some.size
    assert some.height <= 400 < many.height
    assert some.size >= many.size


def test_nothing_and_failure_are_said() -> None:
    made = AnnotateResponse()
    made.tags.SetInParent()
    made.text.status.code = 14
    assert [row.text for row in legend(made).rows] == ["tags", "none", "text", "failed: UNAVAILABLE"]


def test_what_no_font_has_is_counted() -> None:
    # A character of a private area: nobody's font has it.
    assert legend(with_lines("\U0010f123\U0010f124")).rows[1].text.startswith("(2 characters")
