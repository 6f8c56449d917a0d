# SPDX-License-Identifier: Apache-2.0
"""What is counted on a message's bytes is what parsing it finds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagier.v1 import annotator_pb2, tags_pb2
from imagier_server.transport.wire import MAX_FIELDS, WireError, beside, fields, text

IMAGE, STREAMED = (1,), (1, 1)

WORDS = st.lists(st.text(max_size=9), max_size=9)
REQUESTS = st.builds(
    annotator_pb2.AnnotateRequest,
    image=st.binary(max_size=400),
    request_id=st.text(max_size=9),
    languages=WORDS,
    tags=st.none()
    | st.builds(
        tags_pb2.TagsOptions, max_tags=st.none() | st.integers(-9, 9), min_score=st.floats(width=32), allow=WORDS
    ),
)


@given(REQUESTS)
def test_beside_the_picture_is_all_but_the_picture(request_: annotator_pb2.AnnotateRequest) -> None:
    raw = request_.SerializeToString()
    assert beside(raw, IMAGE, 0) == len(raw) - len(request_.image)
    streamed = annotator_pb2.AnnotateStreamRequest(request=request_).SerializeToString()
    assert beside(streamed, STREAMED, 0) == len(streamed) - len(request_.image)
    assert beside(raw, (), 0) == len(raw)
    assert [number for number, _ in fields(memoryview(raw))] == sorted(
        [1] * bool(request_.image)
        + [2] * bool(request_.request_id)
        + [3] * len(request_.languages)
        + [10] * request_.HasField("tags")
    )


@given(st.binary(max_size=60))
def test_what_parses_is_counted_and_never_more_than_there_is(raw: bytes) -> None:
    try:
        assert 0 <= beside(raw, IMAGE, 0) <= len(raw)
    except WireError:
        return


def test_a_picture_in_pieces_is_one_picture_and_much_beside() -> None:
    twice = annotator_pb2.AnnotateRequest(image=bytes(100)).SerializeToString() * 2
    assert beside(twice, IMAGE, 0) == len(twice) - 100


def test_a_small_message_is_not_looked_at() -> None:
    assert beside(b"\xff" * 10, IMAGE, 10) == 10
    with pytest.raises(WireError):
        beside(b"\xff" * 11, IMAGE, 10)


@pytest.mark.parametrize("raw", [b"\x0a\x05abc", b"\x0b\x0c", b"\x0d\0", b"\x09\0", b"\x08" + b"\xff" * 11, b"\x07"])
def test_what_is_cut_short_or_no_field_is_an_error(raw: bytes) -> None:
    with pytest.raises(WireError):
        beside(raw, IMAGE, 0)


def test_it_gives_up_at_too_many_fields() -> None:
    assert beside(b"\x1a\0" * MAX_FIELDS, IMAGE, 0)
    with pytest.raises(WireError):
        beside(b"\x1a\0" * (MAX_FIELDS + 1), IMAGE, 0)


def test_a_text_is_found_by_its_path() -> None:
    request = annotator_pb2.AnnotateRequest(image=b"12345", request_id="é7", languages=["en"])
    message = annotator_pb2.AnnotateStreamRequest(request=request).SerializeToString()
    assert text(message, (1, 2)) == "é7"
    assert text(message, (1, 9)) == ""
    with pytest.raises(WireError):
        text(message[:-1], (1, 2))
    with pytest.raises(WireError):
        text(b"\x0a\x01\xff", (1,))
