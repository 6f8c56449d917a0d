# SPDX-License-Identifier: Apache-2.0
"""The bookkeeping of a stream, without one: room, retries, breaks."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imagier_client.codec import encode_request
from imagier_client.errors import ImagierClientError, InvalidImageError, UnavailableError
from imagier_client.messages import Annotation
from imagier_client.retry import RetryPolicy
from imagier_client.tasks.ocr import Ocr
from imagier_client.tasks.tags import Tags
from imagier_client.window import Window
from support.windows import AWAY, BROKEN, POLICY, Clock, bad, failure, good, of_tasks, sent


def test_room_ends_at_its_size_and_comes_back_with_an_answer(window: Callable[..., Window[str]]) -> None:
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
    assert (w.unanswered, w.asked, w.wait) == (1, 1, None)


def test_an_unknown_id_is_nobodys(window: Callable[..., Window[str]]) -> None:
    w = window()
    w.add("a", encode_request(b"1"))
    (request_id,) = sent(w)
    assert w.receive(good("other")) is None
    assert w.receive(good(request_id)) is not None
    assert w.receive(good(request_id)) is None


def test_a_permanent_error_is_an_answer(window: Callable[..., Window[str]]) -> None:
    w = window()
    w.add("a", encode_request(b"1"))
    (request_id,) = sent(w)
    answered = w.receive(bad(request_id, failure(3)))
    assert answered is not None
    assert isinstance(answered[1], ImagierClientError)
    assert w.unanswered == 0


def test_how_long_the_work_may_take_is_sent_along(clock: Clock) -> None:
    w: Window[str] = Window(1, POLICY, (), 90.5, clock=clock)
    w.add("a", encode_request(b"1"))
    message = w.next_to_send()
    assert message is not None
    assert message.timeout.ToTimedelta().total_seconds() == 90.5


def test_a_passing_error_is_waited_out_for_as_long_as_there_is_patience(
    window: Callable[..., Window[str]], clock: Clock
) -> None:
    w = window()
    w.add("a", encode_request(b"1"))
    began, asked = clock.now, 0
    while True:
        (request_id,) = sent(w)
        asked += 1
        answered = w.receive(bad(request_id))
        if answered is not None:
            break
        assert sent(w) == []
        assert w.wait is not None
        assert w.wait >= 2, "never sooner than the server wishes"
        clock.now += w.wait
    assert isinstance(answered[1], UnavailableError)
    assert 50 < clock.now - began <= 60
    assert 10 < asked <= 30


def test_no_patience_asks_once(window: Callable[..., Window[str]]) -> None:
    for policy in (RetryPolicy(patience=0.0), RetryPolicy(max_attempts=1)):
        w = window(policy=policy)
        w.add("a", encode_request(b"1"))
        (request_id,) = sent(w)
        assert w.receive(bad(request_id)) is not None


def test_one_picture_that_waits_does_not_hold_the_others(window: Callable[..., Window[str]], clock: Clock) -> None:
    w = window(2)
    w.add("a", encode_request(b"1"))
    w.add("b", encode_request(b"2"))
    a, b = sent(w)
    w.receive(bad(a, failure(14, 30)))
    w.receive(good(b))
    w.add("c", encode_request(b"3"))
    assert sent(w) == ["3"]
    assert w.waiting() is None, "something is under way"
    clock.now += 40
    assert sent(w) == [a]


def test_a_run_that_stands_still_says_so_once_for_each_wait(window: Callable[..., Window[str]], clock: Clock) -> None:
    w = window(2)
    w.add("a", encode_request(b"1"))
    w.add("b", encode_request(b"2"))
    for request_id in sent(w):
        assert w.waiting() is None
        w.receive(bad(request_id))
    told = w.waiting()
    assert told is not None
    assert (told.error.reason, told.patience, told.pictures, told.elapsed) == ("SOME", 60, 2, 0)
    assert told.seconds >= 2
    assert w.waiting() is None
    clock.now += 3
    for request_id in sent(w):
        w.receive(bad(request_id))
    told = w.waiting()
    assert told is not None
    assert told.elapsed == 3


def test_a_picture_that_always_fails_for_now_ends_by_itself_while_others_go_well(
    window: Callable[..., Window[str]], clock: Clock
) -> None:
    w = window(2)
    w.add("poison", encode_request(b"1", [Tags()]))
    (poison,) = sent(w)
    answered = w.receive(bad(poison))
    for number in range(100):
        if answered is not None:
            break
        w.add(str(number), encode_request(b"1", [Tags()]))
        clock.now += 6
        for request_id in sent(w):
            got = w.receive(bad(poison) if request_id == poison else of_tasks(request_id, tags=None))
            answered = got if request_id == poison else answered
    assert answered is not None
    assert answered[0] == "poison"


def test_a_break_sends_the_unanswered_in_their_order(window: Callable[..., Window[str]], clock: Clock) -> None:
    w = window()
    for key in "abc":
        w.add(key, encode_request(key.encode()))
    a, b, c = sent(w)
    w.receive(good(b))
    w.broken(BROKEN)
    assert w.asked == 0
    assert w.wait is not None
    assert w.wait > 0
    clock.now += w.wait
    assert sent(w) == [a, c]


def test_breaks_are_borne_for_as_long_as_there_is_patience_and_an_answer_starts_anew(
    window: Callable[..., Window[str]], clock: Clock
) -> None:
    w = window()
    w.add("a", encode_request(b"1"))
    w.add("b", encode_request(b"2"))
    a, _ = sent(w)

    def bear(until: float) -> None:
        while clock.now < until:
            w.broken(BROKEN)
            clock.now += w.wait or 0.0
            sent(w)

    bear(clock.now + 50)
    w.receive(good(a))
    bear(clock.now + 50)
    with pytest.raises(UnavailableError):
        bear(clock.now + 20)


def test_a_permanent_break_is_raised_unless_nothing_is_left(window: Callable[..., Window[str]]) -> None:
    w = window()
    w.broken(InvalidImageError("no"))
    w.add("a", encode_request(b"1"))
    with pytest.raises(InvalidImageError):
        w.broken(InvalidImageError("no"))


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 30), size=st.integers(1, 6))
def test_whatever_happens_each_picture_is_answered_once(seed: int, count: int, size: int) -> None:
    dice = random.Random(seed)
    clock = Clock()
    w: Window[int] = Window(size, RetryPolicy(patience=10.0**9), (), clock=clock)
    answers: list[int] = []
    at_server: list[str] = []
    coming = iter(range(count))
    left = True
    while left or w.unanswered:
        clock.now += 1
        event = dice.choice(("add", "send", "answer", "answer", "part", "fail", "break"))
        if event == "add" and w.room and left:
            key = next(coming, None)
            left = key is not None
            if key is not None:
                w.add(key, encode_request(b"1", [Tags(), Ocr()]))
        elif event == "send" and (message := w.next_to_send()) is not None:
            at_server.append(message.request.request_id)
        elif event in ("answer", "part", "fail") and at_server:
            request_id = at_server.pop(dice.randrange(len(at_server)))
            made = {"answer": of_tasks(request_id, tags=None, ocr=None), "fail": bad(request_id)}
            answered = w.receive(made.get(event) or of_tasks(request_id, tags=None, ocr=AWAY))
            answers += [answered[0]] if answered else []
        elif event == "break":
            at_server.clear()
            w.broken(BROKEN)
        assert w.unanswered <= size
        assert w.asked >= 0
    assert sorted(answers) == list(range(count))
