# SPDX-License-Identifier: Apache-2.0
"""Tasks of other distributions go the way of the built-in ones: asked for, answered, asked for again, shown."""

from __future__ import annotations

import copy
import io
import json
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.rpc import status_pb2
from imagier.v1 import annotator_pb2, caption_pb2, tags_pb2
from imagier_client import merging
from imagier_client.cli import table
from imagier_client.cli.jsonl import to_line
from imagier_client.codec import decode_annotation, encode_request
from imagier_client.documents import to_alto, to_hocr
from imagier_client.drawing.legend import fitting_legend
from imagier_client.errors import InvalidRequestError, UnavailableError
from imagier_client.tasks import envelope
from imagier_client.tasks.ocr import Ocr
from imagier_client.tasks.tags import Tags
from rich.console import Console


def answered(status: int = 0) -> annotator_pb2.AnnotateResponse:
    response = annotator_pb2.AnnotateResponse(width=3, cost=2, tags={"cost": 1})
    result = caption_pb2.CaptionResult(title="Gloomy", cost=1, status=status_pb2.Status(code=status))
    response.extensions.add().Pack(result)
    response.extensions.add(type_url="type.googleapis.com/of.somebody.Else", value=b"?")
    return response


def test_a_further_task_is_asked_for_beside_the_others(mood: Any) -> None:
    request = encode_request(b"x", [Tags(), mood(max_words=5)])
    assert envelope.asked(request) == {"tags", "mood"}
    (packed,) = request.extensions
    options = caption_pb2.CaptionOptions()
    assert packed.Unpack(options)
    assert options == caption_pb2.CaptionOptions(max_words=5)
    envelope.ask_only(request, {"mood"})
    assert (envelope.asked(request), request.HasField("tags")) == ({"mood"}, False)
    envelope.ask_only(request, {"tags"})
    assert (envelope.asked(request), len(request.extensions)) == (set(), 0)


def test_its_answer_is_a_value_like_any_other(mood: Any) -> None:
    annotation = decode_annotation(answered())
    assert list(annotation.results) == ["tags", "mood"]
    assert annotation[mood].title == annotation.results["mood"].title == "Gloomy"
    assert annotation[Tags] is annotation.tags
    with pytest.raises(KeyError):
        annotation[Ocr]
    for again in (copy.deepcopy(annotation), pickle.loads(pickle.dumps(annotation))):
        assert again == annotation
        assert hash(again) == hash(annotation)


@pytest.mark.usefixtures("mood")
def test_one_that_failed_for_now_is_asked_for_again() -> None:
    whole = answered(status=14)
    assert isinstance(merging.failed(whole)["mood"], UnavailableError)
    assert merging.succeeded(whole) == {"tags"}
    merging.add(whole, answered())
    assert merging.failed(whole) == {}
    merging.fail(whole, ["mood", "ocr"], status_pb2.Status(code=4))
    assert set(merging.failed(whole)) == {"mood", "ocr"}
    assert len(whole.extensions) == 2


@pytest.mark.usefixtures("mood")
def test_it_is_in_the_json_and_what_nobody_knows_is_not() -> None:
    whole = answered()
    whole.tags.status.details.add(type_url="type.googleapis.com/of.somebody.Else")
    response = json.loads(to_line(Path("a.jpg"), decode_annotation(whole)))["response"]
    (extension,) = response["extensions"]
    assert (extension["@type"], extension["title"]) == ("type.googleapis.com/imagier.v1.CaptionResult", "Gloomy")
    assert response["tags"]["status"]["details"] == []


@pytest.mark.usefixtures("mood")
def test_it_is_printed_drawn_and_written_into_documents() -> None:
    response = answered()
    response.ocr.SetInParent()
    annotation = decode_annotation(response)
    shown = io.StringIO()
    Console(file=shown, width=80).print(table.picture(Path("a.jpg"), annotation, ("en",)))
    assert [line.split() for line in shown.getvalue().splitlines() if "Gloomy" in line] == [["title", "Gloomy"]]
    legend = fitting_legend(annotation, (600, 500), 20)
    rows = [(row.text, row.aside) for column in legend.columns for row in column]
    assert rows[-2:] == [("THE MOOD", ""), ("Gloomy", "title")]
    assert b'LABEL="Gloomy" DESCRIPTION="a mood"' in to_alto(annotation, "a.jpg", datetime.now(UTC))
    assert b'content="Gloomy"' in to_hocr(annotation, "a.jpg")


def test_a_message_that_no_task_knows_is_no_result() -> None:
    assert list(envelope.results(answered())) == ["tags"]


@pytest.mark.usefixtures("mood")
def test_a_message_that_cannot_be_read_is_no_result() -> None:
    response = answered()
    response.extensions[0].value = b"\xff"
    assert list(envelope.results(response)) == ["tags"]


@pytest.mark.parametrize("wrong", ["tags", Tags, True, None, tags_pb2.TagsOptions()])
def test_what_is_no_tasks_options_is_told_what_is(wrong: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"Tags\(\)") as caught:
        encode_request(b"x", [wrong])
    assert caught.value.field == "tasks"


def test_a_task_is_asked_for_once() -> None:
    with pytest.raises(InvalidRequestError, match="twice") as caught:
        encode_request(b"x", [Tags(max_tags=3), Ocr(), Tags()])
    assert caught.value.field == "tags"
