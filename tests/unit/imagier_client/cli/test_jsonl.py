# SPDX-License-Identifier: Apache-2.0
"""Lines for programs: protobuf's JSON mapping, readable back, one line whatever is in them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2
from imagier.v1.annotator_pb2 import AnnotateResponse
from imagier_client.cli.jsonl import to_line
from imagier_client.codec import decode_annotation
from imagier_client.errors import ExhaustedError, UnreadableFileError


def response() -> AnnotateResponse:
    made = AnnotateResponse(width=4, height=3)
    made.tags.tags.add(id="n1", score=0.1, origin=1).names["zh"] = "猫"
    made.ocr.lines.add(text="two\nlines\u2028", confidence=1)
    return made


def test_the_reply_can_be_read_back() -> None:
    line = to_line(Path("a.jpg"), decode_annotation(response()))
    assert "\n" not in line
    assert "猫" in line
    read = json.loads(line)
    assert read["path"] == "a.jpg"
    assert json_format.ParseDict(read["response"], AnnotateResponse()) == response()
    assert read["response"]["tags"]["tags"][0]["score"] == 0.1


def test_empty_lists_are_there() -> None:
    made = AnnotateResponse()
    made.ocr.SetInParent()
    read = json.loads(to_line(Path("a"), decode_annotation(made)))
    assert read["response"]["ocr"]["lines"] == []
    assert "tags" not in read["response"]


def test_details_that_we_do_not_know_are_left_out() -> None:
    made = response()
    made.tags.status.code = 14
    made.tags.status.details.add().Pack(error_details_pb2.ErrorInfo(reason="R", domain="imagier"))
    made.tags.status.details.add(type_url="type.googleapis.com/some.day.Detail", value=b"x")
    read = json.loads(to_line(Path("a"), decode_annotation(made)))
    (detail,) = read["response"]["tags"]["status"]["details"]
    assert detail["reason"] == "R"
    assert len(made.tags.status.details) == 2


def test_an_answer_without_a_form_in_json_is_an_error() -> None:
    """Found by the fuzzer: a duration out of its range, a detail that cannot be read."""
    for spoilt in ("total", "detail"):
        made = AnnotateResponse()
        if spoilt == "total":
            made.timings.total.nanos = 2**31 - 1
        else:
            made.tags.status.details.add(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff")
        read = json.loads(to_line(Path("a"), decode_annotation(made)))
        assert (read["error"]["code"], read["error"]["retryable"]) == ("INTERNAL", False)


def test_captions_say_all_in_lines_of_json() -> None:
    made = AnnotateResponse()
    made.caption.captions.add(text="A dog.", language="en", score=0.5, guess=False, origin=1)
    made.caption.models.add(name="captioner", version="1", research_only=True)
    made.caption.title = "Dog"
    read = json.loads(to_line(Path("a"), decode_annotation(made)))["response"]["caption"]
    assert read["captions"] == [
        {"text": "A dog.", "language": "en", "score": 0.5, "guess": False, "origin": "ORIGIN_MACHINE"}
    ]
    assert (read["title"], read["models"][0]["researchOnly"]) == ("Dog", True)


def test_details_that_nobody_here_knows_are_left_out_of_a_captions_status() -> None:
    made = AnnotateResponse()
    made.caption.status.details.add(type_url="type.googleapis.com/of.tomorrow.Detail")
    read = json.loads(to_line(Path("a"), decode_annotation(made)))
    assert read["response"]["caption"]["status"]["details"] == []


def test_an_error() -> None:
    error = ExhaustedError("busy", reason="OVERLOADED", retryable=True, retry_after=1.5)
    assert json.loads(to_line(Path("a"), error)) == {
        "path": "a",
        "error": {
            "code": "RESOURCE_EXHAUSTED",
            "reason": "OVERLOADED",
            "message": "busy",
            "retryable": True,
            "retryAfter": 1.5,
        },
    }
    assert json.loads(to_line(Path("a"), UnreadableFileError("gone", field="image")))["error"]["field"] == "image"


@pytest.mark.parametrize("name", [b"caf\xe9.jpg", "été 猫.jpg".encode(), b'"\\\n.jpg'])
def test_any_file_name_survives(name: bytes) -> None:
    line = to_line(Path(os.fsdecode(name)), UnreadableFileError("gone"))
    line.encode()
    assert "\n" not in line
    assert os.fsencode(json.loads(line)["path"]) == name


@pytest.mark.parametrize(
    "name", ["a\nb", "\x1b[31m", "\x9b31m", "\u2028", "\u202egpj.exe", 'a"b', "\x7f", "\ufeff", "\U000e0041"]
)
def test_a_name_is_one_line_and_moves_no_cursor(name: str) -> None:
    line = to_line(Path(name), UnreadableFileError("no"))
    assert line.isprintable()
    assert json.loads(line)["path"] == name
