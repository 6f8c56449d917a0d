# SPDX-License-Identifier: Apache-2.0
"""The list beside a drawn picture: complete as long as there is room, and never wider than its columns."""

from __future__ import annotations

import pytest
from imagier.v1.annotator_pb2 import AnnotateResponse
from imagier.v1.timing_pb2 import STAGE_DECODE, STAGE_FINISH, STAGE_INFER
from imagier_client.codec import decode_annotation
from imagier_client.drawing import fonts
from imagier_client.drawing.legend import Legend, Row, chip_size, fitting_legend
from PIL import Image

ROOM = (600, 500)


def legend(response: AnnotateResponse, room: tuple[int, int] = ROOM, size: int = 20, *, spread: bool = False) -> Legend:
    return fitting_legend(decode_annotation(response, ("en", "fr")), room, size, spread=spread)


def rows(made: Legend) -> list[Row]:
    return [row for column in made.columns for row in column]


def with_lines(*texts: str) -> AnnotateResponse:
    made = AnnotateResponse()
    for text in texts:
        made.ocr.lines.add(text=text, confidence=0.9).normalized_polygon.add()
    return made


def test_tags_then_numbered_lines_then_times() -> None:
    made = with_lines("one", "two")
    made.tags.tags.add(id="n1", score=0.5).names.update({"en": "cat", "fr": "chat"})
    made.tags.tags.add(id="n2", score=0.25).names.update({"en": "dog", "fr": "dog"})
    made.timings.total.FromMilliseconds(1234)
    for task, stage, milliseconds in (("", STAGE_DECODE, 12), ("ocr", STAGE_INFER, 1200), ("ocr", STAGE_FINISH, 3)):
        made.timings.stages.add(task=task, stage=stage).duration.FromMilliseconds(milliseconds)
    assert [(row.number, row.text, row.aside, row.value) for row in rows(legend(made))] == [
        (0, "TAGS", "", ""),
        (0, "cat", "chat", "0.50"),
        (0, "dog", "", "0.25"),
        (0, "TEXT", "", ""),
        (1, "one", "", "0.90"),
        (2, "two", "", "0.90"),
        (0, "TIME", "", ""),
        (0, "total", "", "1 234 ms"),
        (0, "decode", "", "12 ms"),
        (0, "text", "infer 1 200 · finish 3", ""),
    ]


def test_captions_come_first_and_a_guess_is_marked() -> None:
    made = with_lines("one")
    made.caption.captions.add(text="A cat.", score=0.75)
    made.caption.captions.add(text="A dog.", score=0.25, guess=True)
    made.caption.title = "Cat"
    assert [(row.text, row.aside, row.value) for row in rows(legend(made))][:5] == [
        ("CAPTION", "", ""),
        ("A cat.", "", "0.75"),
        ("A dog.", "a guess", "0.25"),
        ("Cat", "title", ""),
        ("TEXT", "", ""),
    ]


def test_no_caption_says_why() -> None:
    made = AnnotateResponse()
    made.caption.SetInParent()
    assert [row.aside for row in rows(legend(made))] == ["", "none"]
    made.caption.guesses_left_out = 2
    assert [row.aside for row in rows(legend(made))] == ["", "none sure enough"]
    made.caption.status.code = 12
    assert [row.aside for row in rows(legend(made))] == ["", "failed: UNIMPLEMENTED"]


def test_long_lines_are_wrapped_and_nothing_is_lost() -> None:
    text = "a fairly long line of text with a veryveryveryveryveryveryveryveryveryveryveryveryverylongword in it"
    made = legend(with_lines(text))
    parts = rows(made)[1:]
    assert "".join(row.text for row in parts).replace(" ", "") == text.replace(" ", "")
    assert [row.number for row in parts] == [1] + [0] * (len(parts) - 1)
    assert all(fonts.plain(made.size).getlength(row.text) < made.width for row in parts)


def test_no_row_of_chinese_begins_with_what_ends_a_sentence() -> None:
    parts = rows(legend(with_lines("中国人，是" * 20)))[1:]
    assert len(parts) > 3
    assert not [row.text for row in parts if row.text.startswith("，")]
    assert "".join(row.text for row in parts) == "中国人，是" * 20


def test_many_lines_take_a_smaller_font_then_columns_then_some_are_left_out() -> None:
    few, some, many, most = (legend(with_lines(*["word"] * count)) for count in (2, 20, 40, 400))
    assert [len(made.columns) for made in (few, some, many, most)] == [1, 1, 2, 2]
    assert few.size > some.size >= many.size >= most.size
    for made in (few, some, many, most):
        assert made.width <= ROOM[0]
        assert made.height <= ROOM[1]
    assert [sum(row.number > 0 for row in rows(made)) for made in (few, some, many)] == [2, 20, 40]
    shown = sum(row.number > 0 for row in rows(most))
    assert 40 < shown < 400
    assert rows(most)[-1].aside == f"… and {400 - shown} more"


def test_what_is_left_out_is_said_before_the_times() -> None:
    made = with_lines(*["word"] * 400)
    made.timings.total.FromMilliseconds(1)
    assert [row.text or row.aside.split()[0] for row in rows(legend(made))][-3:] == ["…", "TIME", "total"]


def test_below_a_wide_picture_columns_are_level() -> None:
    made = legend(with_lines(*["word"] * 40), (2000, 800), spread=True)
    lengths = [len(column) for column in made.columns]
    assert len(lengths) == 4
    assert max(lengths) < 12
    assert made.height < 500


def test_a_short_section_stays_together_and_a_heading_with_its_rows() -> None:
    for count in range(14, 30, 2):
        made = with_lines(*["word"] * count)
        made.timings.total.FromMilliseconds(1)
        made.timings.stages.add(stage=STAGE_DECODE).duration.FromMilliseconds(1)
        columns = legend(made).columns
        assert not [column[-1].text for column in columns if column[-1].heading]
        assert [row.text for row in columns[-1][-3:]] == ["TIME", "total", "decode"]


def test_nothing_and_failure_are_said() -> None:
    made = AnnotateResponse()
    made.tags.SetInParent()
    made.ocr.status.code = 14
    assert [row.text or row.aside for row in rows(legend(made))] == ["TAGS", "none", "TEXT", "failed: UNAVAILABLE"]


def test_what_no_font_has_is_counted() -> None:
    # A character of a private area: nobody's font has it.
    assert rows(legend(with_lines("\U0010f123\U0010f124")))[1].aside.startswith("(2 characters")


@pytest.mark.parametrize("spread", [False, True])
def test_the_smallest_room_holds_something(spread: bool) -> None:
    made = legend(with_lines(*["word"] * 9), (10, 10), spread=spread)
    assert rows(made)[0].text == "TEXT"
    assert any("more" in row.aside for row in rows(made))


def test_it_is_written_within_its_bounds() -> None:
    made = with_lines(*["Rue des Lilas 中国"] * 30)
    made.tags.tags.add(id="n1", score=0.5).names.update({"en": "cat", "fr": "chat"})
    list_of_all = legend(made)
    colour = Image.new("RGB", (list_of_all.width + 100, list_of_all.height + 100), "white")
    list_of_all.draw(colour, (50, 50), lambda _: (190, 0, 95))
    left, top, right, bottom = colour.convert("L").point(lambda value: 255 * (value < 250)).getbbox()
    assert left > 50
    assert top > 50
    assert right < 50 + list_of_all.width
    assert bottom < 50 + list_of_all.height
    assert (190, 0, 95) in {found for _, found in colour.getcolors(2**20) or []}


def test_a_number_has_room_in_its_patch() -> None:
    for number in (1, 42, 1000):
        width, height = chip_size(number, 20)
        assert width > fonts.plain(20).getlength(str(number))
        assert height > 20
