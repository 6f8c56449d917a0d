# SPDX-License-Identifier: Apache-2.0
"""Streams before a scripted pipeline: what is read when, what is answered, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from imagier_server.call import Lane
from imagier_server.errors import (
    DeadlineError,
    DrainingError,
    ImageTooLargeError,
    ImagierError,
    InvalidImageError,
    InvalidRequestError,
    OverloadedError,
)
from imagier_server.messages import AnnotateRequest, Annotation
from imagier_server.pipeline import Pipeline
from support.scripted_pipeline import BROKEN, IMAGE, Answers, Bench, both, collect, stream


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ThreadPoolExecutor(2) as threads:
        yield Bench(threads)


async def test_every_tenth_picture_broken_the_others_answered(bench: Bench) -> None:
    requests = [both(BROKEN if number % 10 == 0 else IMAGE, str(number)) for number in range(100)]
    answers: Answers = {}
    await bench.stream(stream(*requests), collect(answers))
    assert len(answers) == 100
    assert {int(name) for name, outcome in answers.items() if isinstance(outcome, InvalidImageError)} == set(
        range(0, 100, 10)
    )
    assert {lane for _, lane, _ in bench.engine.calls} == {Lane.BULK}
    assert bench.value("imagier_in_flight_pictures") == 0


async def test_a_slow_reader_stops_the_reading(bench: Bench) -> None:
    taken: list[str] = []
    reader = asyncio.Semaphore(0)

    async def requests() -> AsyncIterator[AnnotateRequest]:
        for number in range(20):
            taken.append(str(number))
            yield both(request_id=str(number))

    async def answer(request_id: str, outcome: Annotation | ImagierError) -> None:
        del request_id, outcome
        await reader.acquire()

    running = asyncio.create_task(bench.stream(requests(), answer))
    await asyncio.wait([running], timeout=0.2)
    assert len(taken) == 2, "stream_in_flight"
    assert bench.value("imagier_in_flight_pictures") == 0, "a slow reader takes no room from others"
    reader.release()
    await asyncio.wait([running], timeout=0.2)
    assert len(taken) == 3
    for _ in range(20):
        reader.release()
    await running


async def test_a_stream_waits_for_room_instead_of_failing(bench: Bench) -> None:
    places = [bench.limits.enter(1) for _ in range(4)]
    answers: Answers = {}
    running = asyncio.create_task(bench.stream(stream(both(request_id="a")), collect(answers)))
    for place in places[:2]:  # one is not enough: it is left to callers who do not wait
        await asyncio.wait([running], timeout=0.02)
        assert not answers
        place.leave()
    await running
    assert isinstance(answers["a"], Annotation)


async def test_the_wait_for_a_turn_is_no_part_of_the_work_on_a_picture_of_a_stream(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    now = loop.time
    bench.decoder.hold = asyncio.Event()
    answers: Answers = {}
    pictures = [replace(both(request_id="a"), seconds=60.0), replace(both(b"another", "b"), seconds=60.0)]
    running = asyncio.create_task(bench.stream(stream(*pictures), collect(answers)))
    await bench.until("imagier_in_flight_pictures", 2)
    monkeypatch.setattr(loop, "time", lambda: now() + 1000)
    bench.decoder.hold.set()
    await running
    assert {key: outcome.cost for key, outcome in answers.items() if isinstance(outcome, Annotation)} == {
        "a": 3,
        "b": 3,
    }
    assert all(0 < seconds <= 60 for _, _, seconds in bench.engine.calls)


async def test_the_work_on_a_picture_of_a_stream_ends(bench: Bench) -> None:
    for model in ("tags_model", "ocr_model"):
        bench.engine.answers[model] = asyncio.Event().wait
    cases: list[tuple[Pipeline, float | None, float | None]] = [
        (bench.pipeline, 0.05, None),  # by what the caller gives the picture
        (replace(bench.pipeline, stream_deadline_seconds=0.05), None, None),  # by what the operator does
        (bench.pipeline, 20.0, 0.05),  # by the deadline of the whole stream
    ]
    for pipeline, seconds, left in cases:
        answers: Answers = {}
        requests = stream(replace(both(request_id="a"), seconds=seconds))
        await bench.stream(requests, collect(answers), left, pipeline)
        assert isinstance(answers["a"], DeadlineError)
    assert bench.value("imagier_in_flight_pictures") == 0


async def test_a_picture_of_a_stream_has_its_own_deadline_and_not_that_of_a_call(bench: Bench) -> None:
    pipeline = replace(bench.pipeline, deadline_seconds=1e-9, stream_deadline_seconds=1800.0)
    answers: Answers = {}
    await bench.stream(stream(both(request_id="a")), collect(answers), pipeline=pipeline)
    assert isinstance(answers["a"], Annotation)
    assert all(1790 < seconds <= 1800 for _, _, seconds in bench.engine.calls)


async def test_no_time_at_all_is_refused(bench: Bench) -> None:
    answers: Answers = {}
    requests = stream(replace(both(request_id="a"), seconds=0.0))
    await bench.stream(requests, collect(answers))
    assert isinstance(answers["a"], InvalidRequestError)
    assert answers["a"].field == "timeout"


async def test_a_stream_that_is_cancelled_leaves_nothing(bench: Bench) -> None:
    bench.decoder.hold = asyncio.Event()
    nine = stream(*(both() for _ in range(9)))
    running = asyncio.create_task(bench.stream(nine, collect({})))
    await bench.until("imagier_in_flight_pictures", 2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert bench.value("imagier_in_flight_pictures") == 0


async def test_draining_ends_a_stream_after_the_answers_to_what_was_taken(bench: Bench) -> None:
    bench.decoder.hold = asyncio.Event()
    answers: Answers = {}
    nine = stream(*(both(request_id=str(number)) for number in range(9)))
    running = asyncio.create_task(bench.stream(nine, collect(answers)))
    await bench.until("imagier_in_flight_pictures", 2)
    bench.draining.begin()
    await asyncio.wait([running], timeout=0.02)
    assert not running.done()
    bench.decoder.hold.set()
    with pytest.raises(DrainingError) as ended:
        await running
    assert ended.value.retry_after
    assert answers.keys() == {"0", "1"}
    assert all(isinstance(outcome, Annotation) for outcome in answers.values())
    assert bench.value("imagier_in_flight_pictures") == 0


async def test_draining_ends_a_stream_that_waits_for_its_caller(bench: Bench) -> None:
    silent = asyncio.Event()

    async def requests() -> AsyncIterator[AnnotateRequest]:
        await silent.wait()
        yield both()

    running = asyncio.create_task(bench.stream(requests(), collect({})))
    await asyncio.wait([running], timeout=0.02)
    bench.draining.begin()
    with pytest.raises(DrainingError):
        await running


async def test_a_picture_that_waits_for_room_when_the_server_drains_is_not_answered(bench: Bench) -> None:
    places = [bench.limits.enter(1) for _ in range(4)]
    answers: Answers = {}
    running = asyncio.create_task(bench.stream(stream(both(request_id="a")), collect(answers)))
    await bench.until("imagier_waiting_streams", 1)
    bench.draining.begin()
    with pytest.raises(DrainingError):
        await running
    assert not answers
    assert bench.value("imagier_requests_total", transport="grpc", lane="bulk", code="unavailable") == 0
    await asyncio.wait_for(bench.draining.idle(), 5)
    for place in places:
        place.leave()


async def test_where_too_many_bytes_wait_for_room_a_stream_ends_and_its_picture_is_to_be_sent_again(
    bench: Bench,
) -> None:
    places = [bench.limits.enter(1) for _ in range(4)]
    answers: Answers = {}

    def one(request_id: str) -> asyncio.Task[None]:
        return asyncio.create_task(bench.stream(stream(both(b"x" * 100, request_id)), collect(answers)))

    waiting = [one("a"), one("b")]
    await bench.until("imagier_waiting_streams", 2)
    with pytest.raises(OverloadedError) as refused:
        await one("c")
    assert refused.value.retry_after is not None
    assert not answers
    for place in places:
        place.leave()
    await asyncio.gather(*waiting)
    assert answers.keys() == {"a", "b"}


async def test_a_picture_that_is_refused_for_good_does_not_wait_for_room(bench: Bench) -> None:
    places = [bench.limits.enter(1) for _ in range(4)]
    answers: Answers = {}
    await bench.stream(stream(both(bytes(101), "a")), collect(answers))
    assert isinstance(answers["a"], ImageTooLargeError)
    assert bench.value("imagier_requests_total", transport="grpc", lane="bulk", code="invalid") == 1
    for place in places:
        place.leave()


async def test_a_stream_is_under_way_until_its_last_answer_is_written(bench: Bench) -> None:
    writing, written = asyncio.Event(), asyncio.Event()

    async def answer(_request_id: str, _outcome: Annotation | ImagierError) -> None:
        writing.set()
        await written.wait()

    running = asyncio.create_task(bench.stream(stream(both()), answer))
    await writing.wait()
    idle = asyncio.create_task(bench.draining.idle())
    await asyncio.wait([idle], timeout=0.01)
    assert bench.value("imagier_in_flight_pictures") == 0
    assert not idle.done()
    written.set()
    await running
    await idle


async def test_a_stream_that_comes_too_late_is_not_read(bench: Bench) -> None:
    bench.draining.begin()
    answers: Answers = {}
    with pytest.raises(DrainingError):
        await bench.stream(stream(both(request_id="a")), collect(answers))
    assert not answers


async def test_a_stream_whose_caller_has_sent_all_is_answered_to_its_end(bench: Bench) -> None:
    bench.decoder.hold = asyncio.Event()
    answers: Answers = {}
    sent_all = asyncio.Event()

    async def requests() -> AsyncIterator[AnnotateRequest]:
        yield both(request_id="a")
        sent_all.set()

    running = asyncio.create_task(bench.stream(requests(), collect(answers)))
    await sent_all.wait()
    bench.draining.begin()
    bench.decoder.hold.set()
    await running
    assert isinstance(answers["a"], Annotation)
