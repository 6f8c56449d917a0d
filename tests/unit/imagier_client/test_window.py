# SPDX-License-Identifier: Apache-2.0
"""The bookkeeping of many pictures: nothing is lost, nothing is answered twice, whatever breaks."""

from __future__ import annotations

import random

import pytest
from google.rpc import status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from imagier.v1 import annotator_pb2
from imagier_client.codec import encode_request
from imagier_client.errors import ImagierClientError, InvalidImageError, UnavailableError
from imagier_client.messages import Annotation
from imagier_client.retry import RetryPolicy
from imagier_client.window import Window

BROKEN = UnavailableError("broken", retryable=True)
POLICY = RetryPolicy(max_attempts=3)


def window(size: int = 4) -> Window[str]:
    return Window(size, POLICY, ("en",))


def sent(window: Window[str]) -> list[str]:
    ids = []
    while (message := window.next_to_send()) is not None:
        ids.append(message.request.request_id)
    return ids


def good(request_id: str) -> annotator_pb2.AnnotateStreamResponse:
    response = annotator_pb2.AnnotateResponse(request_id=request_id, width=1)
    return annotator_pb2.AnnotateStreamResponse(request_id=request_id, response=response)


def bad(request_id: str, code: int) -> annotator_pb2.AnnotateStreamResponse:
    return annotator_pb2.AnnotateStreamResponse(request_id=request_id, error=status_pb2.Status(code=code))


def test_room_ends_at_its_size_and_comes_back_with_an_answer() -> None:
    w = window(2)
    w.add("a", encode_request(b"1"))
    w.add("b", encode_request(b"2"))
    assert not w.room
    first, _ = sent(w)
    answered = w.receive(good(first))
    assert answered is not None
    assert answered[0] == "a"
    assert isinstance(answered[1], Annotation)
    assert answered[1].request_id == ""
    assert w.room
    assert w.unanswered == 1


def test_an_unknown_id_is_nobodys() -> None:
    w = window()
    w.add("a", encode_request(b"1"))
    (request_id,) = sent(w)
    assert w.receive(good("other")) is None
    assert w.receive(good(request_id)) is not None
    assert w.receive(good(request_id)) is None


def test_a_permanent_error_is_an_answer() -> None:
    w = window()
    w.add("a", encode_request(b"1"))
    (request_id,) = sent(w)
    answered = w.receive(bad(request_id, 3))
    assert answered is not None
    assert isinstance(answered[1], ImagierClientError)
    assert w.unanswered == 0


def test_a_passing_error_is_sent_again_until_it_is_enough() -> None:
    w = window()
    w.add("a", encode_request(b"1"))
    for _ in range(POLICY.max_attempts - 1):
        (request_id,) = sent(w)
        assert w.receive(bad(request_id, 14)) is None
        assert w.delay > 0
        assert w.unanswered == 1
    (request_id,) = sent(w)
    assert w.receive(bad(request_id, 14)) is not None


def test_a_break_sends_the_unanswered_in_their_order() -> None:
    w = window()
    for key in "abc":
        w.add(key, encode_request(key.encode()))
    a, b, c = sent(w)
    w.receive(good(b))
    w.broken(BROKEN)
    assert w.delay > 0
    assert sent(w) == [a, c]


def test_breaks_in_a_row_are_counted_and_an_answer_starts_anew() -> None:
    w = window()
    w.add("a", encode_request(b"1"))
    w.add("b", encode_request(b"2"))
    a, _ = sent(w)
    w.broken(BROKEN)
    w.broken(None)
    w.receive(good(a))
    w.broken(BROKEN)
    w.broken(BROKEN)
    with pytest.raises(UnavailableError):
        w.broken(BROKEN)


def test_a_permanent_break_is_raised_unless_nothing_is_left() -> None:
    w = window()
    w.broken(InvalidImageError("no"))
    w.add("a", encode_request(b"1"))
    with pytest.raises(InvalidImageError):
        w.broken(InvalidImageError("no"))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 30), size=st.integers(1, 6))
def test_whatever_happens_each_picture_is_answered_once(seed: int, count: int, size: int) -> None:
    dice = random.Random(seed)
    w: Window[int] = Window(size, RetryPolicy(max_attempts=10**6), ())
    answers: list[int] = []
    at_server: list[str] = []
    coming = iter(range(count))
    left = True
    while left or w.unanswered:
        event = dice.choice(("add", "send", "answer", "answer", "fail", "break"))
        if event == "add" and w.room and left:
            key = next(coming, None)
            left = key is not None
            if key is not None:
                w.add(key, encode_request(b"1"))
        elif event == "send" and (message := w.next_to_send()) is not None:
            at_server.append(message.request.request_id)
        elif event in ("answer", "fail") and at_server:
            request_id = at_server.pop(dice.randrange(len(at_server)))
            answered = w.receive(good(request_id) if event == "answer" else bad(request_id, 14))
            answers += [answered[0]] if answered else []
        elif event == "break":
            at_server.clear()
            w.broken(BROKEN)
        assert w.unanswered <= size
    assert sorted(answers) == list(range(count))
