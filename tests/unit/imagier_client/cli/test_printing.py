# SPDX-License-Identifier: Apache-2.0
"""What goes to standard output and what to standard error, on a terminal and off it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from imagier.v1.annotator_pb2 import AnnotateResponse
from imagier_client.cli.printing import Printer, failures, notes
from imagier_client.codec import decode_annotation
from imagier_client.errors import InvalidImageError

RUN = """
from pathlib import Path
from imagier.v1.annotator_pb2 import AnnotateResponse
from imagier_client.codec import decode_annotation
from imagier_client.errors import InvalidImageError
from imagier_client.cli.printing import Printer
response = AnnotateResponse(width=3)
response.ocr.lines.add(text="Rue des Lilas", confidence=1)
printer = Printer("table", ("en",))
for line in ('{"level": "info", "event": "loading"}', '{"level": "info", "event": "almost"}', "a warning"):
    printer.starting(line)
printer.started()
with printer:
    printer.known(3)
    printer.print(Path("a.jpg"), decode_annotation(response))
    printer.print(Path("b.jpg"), InvalidImageError("cannot be read"))
    response.ocr.status.code, response.ocr.status.message = 14, "no engine"
    printer.print(Path("c.jpg"), decode_annotation(response))
"""


def on_a_terminal(*, output_too: bool) -> tuple[str, str]:
    """What a run shows on a terminal, and what it writes to a standard output that is none."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", RUN],
        stdout=theirs if output_too else subprocess.PIPE,
        stderr=theirs,
        env={"TERM": "xterm-256color", "COLUMNS": "100", "LANG": "C.UTF-8"},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # how Linux says that nobody holds the other end
            break
        if not chunk:
            break
        shown += chunk
    os.close(ours)
    written = process.communicate()[0] or b""
    assert process.returncode == 0
    return shown.decode(), written.decode()


def test_a_terminal_shows_progress_and_answers() -> None:
    shown, _ = on_a_terminal(output_too=True)
    assert "almost" in shown
    assert "a warning" in shown
    assert "annotating" in shown
    assert "3/3" in shown
    assert "Rue des Lilas" in shown
    assert "cannot be read" in shown
    assert shown.count("no engine") == 1  # in the table, and not once more


def test_progress_does_not_get_into_a_file() -> None:
    shown, written = on_a_terminal(output_too=False)
    assert "3/3" in shown
    assert "Rue des Lilas" not in shown
    assert "Rue des Lilas" in written
    assert "\x1b" not in written
    assert "cannot be read" not in written
    assert ": ocr: " in shown
    assert "no engine" in shown


def test_off_a_terminal_nothing_moves(capsys: pytest.CaptureFixture[str]) -> None:
    response = AnnotateResponse(width=3)
    response.ocr.lines.add(text="word " * 60, confidence=1)
    with Printer("table", ("en",)) as printer:
        printer.print(Path("a.jpg"), decode_annotation(response))
        printer.print(Path("b.jpg"), InvalidImageError("cannot be read"))
        printer.note("[by the way]")
    out, err = capsys.readouterr()
    assert "word " * 59 in out
    assert err == "b.jpg: cannot be read [INVALID_IMAGE]\n[by the way]\n"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            '{"level": "info", "event": "engine", "progress": "Triton: 1 of 4 models loaded"}',
            "Triton: 1 of 4 models loaded",
        ),
        ('{"level": "error", "event": "the port is taken"}', "the port is taken"),
        ("Traceback (most recent call last):", "Traceback (most recent call last):"),
        ("[1, 2]", "[1, 2]"),
    ],
)
def test_a_starting_server_is_quoted(line: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer("table", ("en",))
    printer.starting(line)
    printer.started()
    assert capsys.readouterr().err == f"{shown}\n"


def test_what_failed_of_a_picture() -> None:
    response = AnnotateResponse()
    response.tags.status.code = 14
    response.ocr.SetInParent()
    assert [(task, error.code) for task, error in failures(decode_annotation(response))] == [("tags", "UNAVAILABLE")]
    assert failures(error := InvalidImageError("no")) == [("", error)]


def captioned(*, unknown: str = "") -> AnnotateResponse:
    response = AnnotateResponse()
    response.caption.captions.add(text="A dog.", language="en", score=0.5)
    response.caption.models.add(name="captioner", version="ours 1", research_only=True)
    response.caption.unknown_languages.extend(unknown.split())
    return response


def test_terms_and_languages_are_noted_once_in_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    with Printer("table", ("fr", "en")) as printer:
        printer.print(Path("a.jpg"), decode_annotation(captioned(unknown="fr")))
        printer.print(Path("b.jpg"), decode_annotation(captioned(unknown="fr")))
    out, err = capsys.readouterr()
    assert out.count("A dog.") == 2
    assert err.splitlines() == [
        "captions are in en: the captioner does not speak fr",
        "captioner (ours 1) is for research and private use only, and so are its answers",
    ]


def test_what_is_worth_a_note() -> None:
    assert notes(decode_annotation(captioned())) == [
        "captioner (ours 1) is for research and private use only, and so are its answers"
    ]
    unsure = AnnotateResponse()
    unsure.caption.guesses_left_out = 2
    assert notes(decode_annotation(unsure)) == [
        "captions that are probably wrong are left out: --include-guesses shows them"
    ]
    assert notes(decode_annotation(AnnotateResponse())) == []
    assert notes(InvalidImageError("no")) == []


def test_a_caption_that_failed() -> None:
    response = AnnotateResponse()
    response.caption.status.code = 12
    assert [(task, error.code) for task, error in failures(decode_annotation(response))] == [
        ("caption", "UNIMPLEMENTED")
    ]


@pytest.mark.parametrize(("name", "shown"), [("a b.hocr", "a b.hocr"), ("a\nb\x1b[2J.hocr", "a\\nb\\x1b[2J.hocr")])
def test_the_name_of_a_file_that_was_written_is_one_line(
    name: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Printer("hocr", ("en",)).wrote(Path(name))
    assert capsys.readouterr().out == f"{shown}\n"
