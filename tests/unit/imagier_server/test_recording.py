# SPDX-License-Identifier: Apache-2.0
"""Each way in which a request can end, as the metrics, the log and the trace have it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pytest
from imagier_server.call import CallContext, Lane
from imagier_server.errors import DeadlineError, DrainingError, InternalError, InvalidRequestError
from imagier_server.messages import AnnotateRequest, TaskOutcome
from imagier_server.metrics import Metrics
from imagier_server.recording import Record, Recorder
from imagier_server.tasks.tags.values import TagsOptions
from support.calls import call

REQUEST = AnnotateRequest(b"a picture", {"tags": TagsOptions()})


class Book:
    """What has been recorded."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.spans: list[str] = []
        self.recorder = Recorder(self.metrics, self._span)

    @contextmanager
    def _span(self, name: str) -> Iterator[None]:
        self.spans.append(name)
        yield

    def picture(self, how: CallContext, error: BaseException | None = None, *, admitted: bool = True) -> None:
        with self.recorder.picture(REQUEST, how) as record:
            if admitted:
                record.begin()
            if error:
                raise error
            record.outcomes = {"tags": TaskOutcome((), result=())}

    def counted(self, name: str) -> list[dict[str, str]]:
        samples = (sample for family in self.metrics.registry.collect() for sample in family.samples)
        return [sample.labels for sample in samples if sample.name == f"imagier_{name}_total" and sample.value]


@pytest.fixture
def book() -> Book:
    return Book()


async def test_an_answer_says_by_which_transport_it_went(book: Book, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "imagier_server"):
        book.picture(call())
    assert book.counted("requests") == [{"transport": "grpc", "lane": "interactive", "code": "ok"}]
    assert book.counted("tasks") == [{"task": "tags", "code": "ok"}]
    assert book.spans == ["picture"]
    (line,) = caplog.records
    fields: dict[str, Any] = line.fields  # type: ignore[attr-defined]  # what `log` adds
    assert fields.keys() == {"transport", "lane", "code", "milliseconds"}
    assert (fields["transport"], fields["lane"], fields["code"]) == ("grpc", "interactive", "ok")


@pytest.mark.parametrize("admitted", [True, False])
@pytest.mark.parametrize(
    ("error", "seconds", "code", "reason"),
    [
        (InvalidRequestError("no"), 9.0, "invalid", "INVALID_REQUEST"),
        (DeadlineError(), 9.0, "deadline", "DEADLINE_EXCEEDED"),
        (asyncio.CancelledError(), 9.0, "cancelled", None),
        (asyncio.CancelledError(), None, "cancelled", None),
        (asyncio.CancelledError(), -1.0, "deadline", "DEADLINE_EXCEEDED"),
    ],
)
async def test_a_call_that_fails_counts_once_and_for_each_of_its_tasks(
    book: Book, error: BaseException, seconds: float | None, code: str, reason: str | None, admitted: bool
) -> None:
    with pytest.raises(type(error)):
        book.picture(call(seconds=seconds), error, admitted=admitted)
    assert book.counted("requests") == [{"transport": "grpc", "lane": "interactive", "code": code}]
    assert book.counted("tasks") == [{"task": "tags", "code": code}]
    assert book.counted("task_failures") == ([{"task": "tags", "reason": reason}] if reason else [])


async def test_a_bug_is_internal_and_its_text_stays_here(book: Book) -> None:
    with pytest.raises(InternalError) as raised:
        book.picture(call(), KeyError("a word that was read"))
    assert "word" not in raised.value.text
    assert [labels["code"] for labels in book.counted("requests")] == ["internal"]


@pytest.mark.parametrize("error", [DrainingError("no"), asyncio.CancelledError()])
async def test_a_picture_of_a_stream_that_was_not_taken_is_not_counted(book: Book, error: BaseException) -> None:
    with pytest.raises(type(error)):
        book.picture(call(Lane.BULK), error, admitted=False)
    assert book.counted("requests") == book.counted("tasks") == []


async def test_a_picture_of_a_stream_that_is_refused_for_good_is_counted(book: Book) -> None:
    with pytest.raises(InvalidRequestError):
        book.picture(call(Lane.BULK), InvalidRequestError("no"), admitted=False)
    assert book.counted("requests") == [{"transport": "grpc", "lane": "bulk", "code": "invalid"}]


async def test_the_wait_for_a_turn_is_no_part_of_the_work(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 100.0, 101.0])
    monkeypatch.setattr("imagier_server.timings.time.perf_counter", lambda: next(now, 101.0))
    book.picture(call(Lane.BULK))
    assert book.metrics.registry.get_sample_value("imagier_request_duration_seconds_sum", {"lane": "bulk"}) == 1.0


@pytest.mark.parametrize(
    ("error", "code"), [(None, "ok"), (InvalidRequestError("no"), "invalid"), (asyncio.CancelledError(), "cancelled")]
)
async def test_keywords_are_counted_by_how_they_end(book: Book, error: BaseException | None, code: str) -> None:
    with suppress(InvalidRequestError, asyncio.CancelledError), book.recorder.keywords(call()):
        if error:
            raise error
    assert book.counted("keyword_requests") == [{"transport": "grpc", "code": code}]


def test_memory_counts_as_given_back_only_if_nothing_holds_it() -> None:
    def record_of(pixels: np.ndarray) -> Record:
        record = Record()
        record.see(pixels)
        return record

    def file() -> AnnotateRequest:
        return AnnotateRequest(bytes(1000), {})

    request, record = file(), record_of(np.frombuffer(bytearray(300), np.uint8).reshape(10, 10, 3))
    released = record.let_go(request)
    assert released is not None
    assert record.received <= record.decoded <= released
    assert request.image == b""
    kept = np.frombuffer(bytearray(300), np.uint8).reshape(10, 10, 3)
    view = kept[:5]
    record = record_of(kept)
    del kept
    assert record.let_go(file()) is None, "a view holds the pixels"
    del view
    assert record.let_go(file()) is not None
    request = file()
    held = request.image
    assert record.let_go(request) is None, f"{len(held)} bytes are held"
