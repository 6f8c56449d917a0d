# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
from typing import Any

import pytest
from imagier_server.errors import InvalidRequestError
from imagier_server.messages import AnnotateRequest
from imagier_server.transport.http.dialect.asking import Body, ask, call_of, few, languages_of, last, read
from imagier_server.transport.http.dialect.question import Question
from imagier_server.transport.http.documents import parse
from starlette.requests import Request
from support.asked_models import annotation, model

PICTURE = base64.b64encode(b"a picture").decode()


class Door:
    """Notes what it is asked."""

    fetcher = None

    secret: str | None = "not asked"
    wanted: AnnotateRequest | None = None

    async def call_of(self, request: Request, *, secret: str | None = None) -> None:
        self.secret = secret

    async def annotate(self, wanted: AnnotateRequest, call: object) -> Any:
        self.wanted = wanted
        return annotation()


def request(query: str = "", **headers: str) -> Request:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "query_string": query.encode(), "headers": named})


@pytest.mark.parametrize(
    ("asked", "secret"),
    [
        (request("key=img_1"), "img_1"),
        (request("a=b&key=img_1&key=img_2"), "img_2"),
        (request("key=img_1", authorization="Bearer img_2"), None),
        (request("key=img_1", x_api_key="img_2"), None),
        (request(), None),
    ],
)
async def test_a_key_in_the_query_counts_if_there_is_none_in_the_headers(asked: Request, secret: str | None) -> None:
    door: Any = Door()
    await call_of(asked, door)
    assert door.secret == secret


def test_the_preferred_languages_are_those_of_the_header() -> None:
    assert languages_of(request(accept_language="fr-CA, en;q=0.3")) == ("fr", "en")
    assert languages_of(request()) == ()


class Inner(Body):
    url: str


class Outer(Body):
    model: str
    parts: tuple[Inner, ...] = ()


def test_a_body_is_read_and_what_means_nothing_here_passed_over() -> None:
    assert read(Outer, {"model": "imagier", "parts": [{"url": "x", "detail": "low"}], "temperature": [7]}) == Outer(
        model="imagier", parts=(Inner(url="x"),)
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "model"),
        ({"model": 7}, "model"),
        ({"model": "x", "parts": [{"url": None}]}, "parts.0.url"),
        ({"model": "x", "parts": ["y"]}, "parts.0"),
        ([], None),
        ("x", None),
    ],
)
def test_what_does_not_fit_is_named_and_not_quoted(body: object, field: str | None) -> None:
    with pytest.raises(InvalidRequestError, match="does not fit") as refused:
        read(Outer, body)
    assert refused.value.field == field
    assert "instance of" not in refused.value.text, "the names of our classes help nobody"


def test_what_is_no_list_holds_no_picture() -> None:
    assert few([1]) == last([1]) == [1]
    for nothing in ("text", None, 7, {}):
        assert few(nothing) == last(nothing) == ()


def test_long_lists_are_not_checked_entry_by_entry() -> None:
    assert last(list(range(500_000))) == list(range(499_744, 500_000))
    with pytest.raises(ValueError, match="more than 64 entries"):
        few([{}] * 65)


async def asked(*pictures: str) -> AnnotateRequest | None:
    door: Any = Door()
    call: Any = None
    await ask(Question(model("imagier-ocr")), pictures, "images", parse(b"{}"), door, call)
    wanted: AnnotateRequest | None = door.wanted
    return wanted


@pytest.mark.parametrize("picture", [PICTURE, f"data:image/jpeg;base64,{PICTURE}", f"DATA:;base64,{PICTURE}"])
async def test_the_one_picture_is_annotated(picture: str) -> None:
    wanted = await asked(picture)
    assert wanted
    assert (wanted.image, list(wanted.tasks)) == (b"a picture", ["ocr"])


@pytest.mark.parametrize(
    ("pictures", "words"),
    [
        ((), "no picture"),
        ((PICTURE, PICTURE), "several pictures"),
        (("https://example.org/a.jpg",), "does not fetch"),
        (("HTTP://localhost/",), "does not fetch"),
        (("file:///etc/passwd",), "base64"),
        (("data:image/jpeg,abc",), "base64"),
    ],
)
async def test_anything_but_one_picture_is_refused(pictures: tuple[str, ...], words: str) -> None:
    with pytest.raises(Exception, match=words):
        await asked(*pictures)
