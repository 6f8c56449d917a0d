# SPDX-License-Identifier: Apache-2.0
"""The bookkeeping of a stream where tasks of a picture fail and others stand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from imagier_client.codec import encode_request
from imagier_client.errors import UnavailableError
from imagier_client.messages import Annotation
from imagier_client.tasks.caption import Caption
from imagier_client.tasks.ocr import Ocr
from imagier_client.tasks.tags import Tags
from imagier_client.window import Window
from support.windows import AWAY, FOR_GOOD, Clock, bad, failure, of_tasks, run_out, sent


def test_of_a_good_answer_only_the_tasks_that_failed_are_asked_for_again(
    window: Callable[..., Window[str]], clock: Clock
) -> None:
    w = window()
    w.add("a", encode_request(b"1", [Tags(), Ocr(), Caption()]))
    (request_id,) = sent(w)
    assert w.receive(of_tasks(request_id, tags=None, ocr=AWAY, caption=FOR_GOOD)) is None
    clock.now += 10
    again = w.next_to_send()
    assert again is not None
    request = again.request
    assert (request.image, request.HasField("ocr")) == (b"1", True)
    assert not request.HasField("tags")
    assert not request.HasField("caption")
    answered = w.receive(of_tasks(request_id, ocr=None))
    assert answered is not None
    annotation = answered[1]
    assert isinstance(annotation, Annotation)
    assert annotation.tags is not None
    assert annotation.ocr is not None
    assert annotation.caption is not None
    assert (annotation.tags.ok, annotation.ocr.ok, annotation.caption.ok) == (True, True, False)
    assert [model.version for model in annotation.ocr.models] == ["2"]
    assert (annotation.cost, annotation.timings.total, annotation.width) == (2, 2.0, 1)
    assert {(stage.task, stage.seconds) for stage in annotation.timings.stages} == {
        ("", 2.0),
        ("tags", 1.0),
        ("ocr", 2.0),
        ("caption", 1.0),
    }


def test_what_is_known_stands_when_the_rest_fails_for_good(window: Callable[..., Window[str]], clock: Clock) -> None:
    w = window()
    w.add("a", encode_request(b"1", [Tags(), Ocr()]))
    (request_id,) = sent(w)
    w.receive(of_tasks(request_id, tags=None, ocr=AWAY))
    clock.now += 10
    sent(w)
    answered = w.receive(bad(request_id, failure(4)))
    assert answered is not None
    assert isinstance(answered[1], Annotation)
    assert answered[1].tags is not None
    assert answered[1].tags.ok
    assert answered[1].ocr is not None
    assert answered[1].ocr.error is not None
    assert answered[1].ocr.error.code == "DEADLINE_EXCEEDED"


def test_a_task_that_stays_away_is_waited_for_once_and_the_others_stand(
    window: Callable[..., Window[str]], clock: Clock
) -> None:
    w = window(1)
    for number in range(5):
        w.add(str(number), encode_request(b"1", [Tags(), Caption()]))
        before = clock.now
        annotation = run_out(w, clock, lambda request_id: of_tasks(request_id, tags=None, caption=AWAY))
        assert annotation.tags.ok
        assert annotation.caption.error.retryable
        assert (clock.now - before > 50) == (number == 0)
    # One that comes back is waited for again.
    w.add("well", encode_request(b"1", [Tags(), Caption()]))
    (request_id,) = sent(w)
    assert w.receive(of_tasks(request_id, tags=None, caption=None)) is not None
    w.add("again", encode_request(b"1", [Tags(), Caption()]))
    (request_id,) = sent(w)
    assert w.receive(of_tasks(request_id, tags=None, caption=AWAY)) is None


def test_an_engine_that_stays_away_ends_the_run_and_does_not_fail_the_library(
    window: Callable[..., Window[str]], clock: Clock
) -> None:
    for answer in (bad, lambda request_id: of_tasks(request_id, tags=AWAY)):
        w = window(1)
        w.add("first", encode_request(b"1", [Tags()]))
        run_out(w, clock, answer)
        clock.now += 6  # the first attempt at a picture waits less than the last
        w.add("second", encode_request(b"1", [Tags()]))
        (request_id,) = sent(w)
        with pytest.raises(UnavailableError):
            w.receive(answer(request_id))
