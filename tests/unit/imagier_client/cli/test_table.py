# SPDX-License-Identifier: Apache-2.0
"""The table for people, as text."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from imagier.v1.annotator_pb2 import AnnotateResponse
from imagier_client.cli import table
from imagier_client.codec import decode_annotation
from imagier_client.errors import InvalidImageError
from rich.cells import cell_len
from rich.console import Console, RenderableType


def text(renderable: RenderableType, width: int = 200, *, terminal: bool = False) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, markup=False, highlight=False, emoji=False)
    console.print(renderable)
    return file.getvalue()


def rows(response: AnnotateResponse, *languages: str) -> list[list[str]]:
    shown = text(table.picture(Path("a.jpg"), decode_annotation(response, languages), languages))
    return [[cell.strip() for cell in line.strip().split("  ") if cell.strip()] for line in shown.splitlines()]


def response() -> AnnotateResponse:
    made = AnnotateResponse(width=640, height=480)
    tag = made.tags.tags.add(id="n1", score=0.756)
    tag.names.update({"en": "Egyptian cat", "fr": "mau égyptien"})
    made.ocr.lines.add(text="[bold]Rue :cat: des Lilas", confidence=0.999)
    return made


def test_a_picture() -> None:
    assert rows(response(), "fr", "en") == [
        ["a.jpg", "640 x 480"],
        ["tag", "0.76", "mau égyptien", "Egyptian cat"],
        ["text", "1.00", "[bold]Rue :cat: des Lilas"],
        [],
    ]


def test_captions_come_first_and_a_guess_is_said_to_be_one() -> None:
    made = response()
    made.caption.captions.add(text="A cat on a rock.", score=0.7)
    made.caption.captions.add(text="A dog.", score=0.2, guess=True)
    made.caption.title = "Cat on rock"
    assert rows(made, "en")[1:] == [
        ["caption", "0.70", "A cat on a rock."],
        ["caption", "0.20", "A dog. (a guess)"],
        ["title", "Cat on rock"],
        ["tag", "0.76", "Egyptian cat"],
        ["text", "1.00", "[bold]Rue :cat: des Lilas"],
        [],
    ]
    shown = text(table.picture(Path("a.jpg"), decode_annotation(made), ("en",)))
    columns = {line.index(".") for line in shown.splitlines()[1:] if "0." in line or "1." in line}
    assert columns == {len("  caption  0")}, "the scores stand below each other"


def test_no_caption_is_said() -> None:
    made = AnnotateResponse()
    made.caption.SetInParent()
    assert rows(made, "en")[1] == ["caption", "--", "none"]
    made.caption.guesses_left_out = 2
    assert rows(made, "en")[1] == ["caption", "--", "none sure enough"]
    made.caption.status.code, made.caption.status.message = 12, "no captioner"
    assert rows(made, "en")[1] == ["caption", "--", "no captioner [UNIMPLEMENTED]"]


def test_english_stands_in_for_an_unknown_language() -> None:
    made = response()
    made.tags.unknown_languages.append("eo")
    assert rows(made, "eo", "fr-CA")[1] == ["tag", "0.76", "Egyptian cat", "mau égyptien"]
    assert rows(made, "eo", "en")[1] == ["tag", "0.76", "Egyptian cat"]


def test_a_region_may_come_after_an_underscore() -> None:
    assert rows(response(), "fr_CA", "en")[1] == ["tag", "0.76", "mau égyptien", "Egyptian cat"]


def test_a_tag_without_a_name_in_these_languages_has_another() -> None:
    assert rows(response(), "zh")[1] == ["tag", "0.76", "Egyptian cat"]


def test_nothing_found_is_said() -> None:
    made = AnnotateResponse()
    made.tags.SetInParent()
    made.ocr.SetInParent()
    assert rows(made, "en")[1:3] == [["tag", "--", "none"], ["text", "--", "none"]]


def test_a_task_that_failed_is_said() -> None:
    made = response()
    made.ocr.Clear()
    made.ocr.status.code, made.ocr.status.message = 14, "no engine"
    assert rows(made, "en")[2] == ["text", "--", "no engine [UNAVAILABLE]"]


def test_a_failed_picture() -> None:
    assert text(table.failure(Path("a.jpg"), InvalidImageError("cannot be read"))) == (
        "a.jpg: cannot be read [INVALID_IMAGE]\n"
    )
    assert text(table.failure(Path("a"), InvalidImageError("no"), "tags")) == "a: tags: no [INVALID_IMAGE]\n"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("été 猫 ✓", "été 猫 ✓"),
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("right\u202eleft", "right\\u202eleft"),
        ("caf\udce9", "caf\\xe9"),
        ("alone\ud800", "alone\\ud800"),
        ("12\u202f000\u00a0€", "12\u202f000\u00a0€"),
    ],
)
def test_nothing_in_a_name_or_a_text_moves_the_cursor(raw: str, shown: str) -> None:
    assert table.printable(raw) == shown


def test_a_narrow_terminal_folds() -> None:
    made = response()
    made.ocr.lines[0].text = "long " * 40
    shown = text(table.picture(Path("a.jpg"), decode_annotation(made, ("en",)), ("en",)), 40, terminal=True)
    assert (
        max(len(line) for line in text(table.picture(Path("a"), decode_annotation(made), ("en",)), 40).split("\n"))
        <= 40
    )
    assert shown.count("long") == 40


@pytest.mark.parametrize("width", [20, 24, 28, 32, 36, 40])
def test_no_terminal_is_too_narrow_for_a_name(width: int) -> None:
    made = response()
    made.tags.tags[0].names["zh"] = "埃及猫街道"
    shown = text(table.picture(Path("a"), decode_annotation(made, ("fr", "zh")), ("fr", "zh")), width)
    assert max(map(cell_len, shown.splitlines())) <= width
    assert all(shown.count(character) for character in "埃及猫街道")
