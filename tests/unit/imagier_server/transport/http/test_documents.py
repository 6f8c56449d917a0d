# SPDX-License-Identifier: Apache-2.0
"""JSON with pictures in it: what is cut out comes back whole, and what is parsed has a bound."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagier_server.errors import InvalidImageError, MalformedRequestError, WordyRequestError
from imagier_server.transport.http.documents import parse
from imagier_server.transport.parsing import WORDS_BYTES

PICTURE = bytes(range(256)) * 400  # longer than what is parsed
ENCODED = base64.b64encode(PICTURE).decode()


@pytest.mark.parametrize(
    "text",
    [
        ENCODED,
        f"data:image/jpeg;base64,{ENCODED}",
        f"DATA:image/svg+xml;charset=utf-8;BASE64,{ENCODED}",
        base64.urlsafe_b64encode(PICTURE).decode().rstrip("="),
        base64.encodebytes(PICTURE).decode(),
    ],
)
@pytest.mark.parametrize("escape", ["", "/"])
def test_a_picture_in_any_base64(text: str, escape: str) -> None:
    body = json.dumps({"image": text, "tags": {"allow": ['a "cat"', "\\"]}})
    document = parse((body.replace("/", "\\/") if escape else body).encode())
    assert document.picture(document.value["image"]) == PICTURE
    assert document.value["tags"] == {"allow": ['a "cat"', "\\"]}
    document.check_read()


def test_several_pictures_and_short_ones() -> None:
    other = PICTURE[::-1]
    images = [ENCODED, base64.b64encode(other).decode(), base64.b64encode(b"short").decode()]
    document = parse(json.dumps({"images": images}).encode())
    assert [document.picture(each) for each in document.value["images"]] == [PICTURE, other, b"short"]


@pytest.mark.parametrize(
    "image", [None, 7, [], "?", "data:image/png", "data:image/png;base64,?", ENCODED + "?", "\x00picture 9"]
)
def test_what_is_no_picture(image: Any) -> None:
    document = parse(json.dumps({"image": image}).encode())
    with pytest.raises(InvalidImageError) as raised:
        document.picture(document.value["image"])
    assert len(raised.value.text) < 100


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"{}," * WORDS_BYTES + b"{}]",
        b"[" + b'"a",' * WORDS_BYTES + b'""]',
        b" " * (WORDS_BYTES + 1),
        b'{"a\\"' + b"x" * 2 * WORDS_BYTES + b'": 1}',
    ],
)
def test_words_have_a_bound(body: bytes) -> None:
    with pytest.raises(WordyRequestError):
        parse(body)


def test_a_long_string_that_is_no_picture() -> None:
    document = parse(json.dumps({"request_id": ENCODED}).encode())
    with pytest.raises(WordyRequestError):
        document.check_read()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'"\\',
        b'["\\ud800"]',
        b'{"\\uDFFF": 1}',
        b"1" * 5000,
        b'{"a": "' + b"x" * 99_999,
    ],
)
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(MalformedRequestError):
        parse(body)


def test_a_character_in_two_halves_is_one() -> None:
    assert parse(b'"\\ud83d\\ude00"').value == "😀"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.just(ENCODED),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(value=VALUES, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_all_else_is_as_a_parser_has_it(value: Any, ascii_only: bool, indent: int | None) -> None:
    def whole(found: Any) -> Any:
        if isinstance(found, dict):
            return {name: whole(each) for name, each in found.items()}
        if isinstance(found, list):
            return [whole(each) for each in found]
        if isinstance(found, str) and found.startswith("\x00picture "):
            return base64.b64encode(document.picture(found)).decode()
        return found

    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    document = parse(body.encode("utf-8", "surrogatepass"))
    assert whole(document.value) == json.loads(body)
