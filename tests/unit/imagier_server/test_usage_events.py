# SPDX-License-Identifier: Apache-2.0
"""What billing systems are told, and what becomes of it when they are away."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from imagier_server import usage_events
from imagier_server.admission.admission import Receipt
from imagier_server.call import TASKS, CallContext, Identity, Lane, Transport
from imagier_server.errors import EngineUnavailableError
from imagier_server.messages import AnnotateRequest, TaskOutcome
from imagier_server.metrics import Metrics
from imagier_server.usage_events import RefusedError, UsageEvents, to_file, to_url

WORK = AnnotateRequest(b"a picture", {}, request_id="a request")
CALL = CallContext(
    Transport.GRPC,
    Lane.BULK,
    identity=Identity("7f3a", "library", frozenset({TASKS})),
    operation="op",
)
DONE = {"tags": TaskOutcome((), result="tabby", cost=1), "ocr": TaskOutcome((), result="words", cost=4)}
FAILED = {"caption": TaskOutcome((), error=EngineUnavailableError("down"))}


async def answer(events: UsageEvents, outcomes: dict[str, TaskOutcome], call: CallContext = CALL) -> None:
    receipt = Receipt()
    async with events.stage(WORK, call, receipt):
        receipt.outcomes = outcomes


@asynccontextmanager
async def telling(sink: usage_events.Sink) -> AsyncIterator[tuple[UsageEvents, Metrics]]:
    metrics = Metrics()
    events = UsageEvents(sink, metrics, first_wait=0.001)
    async with events.running():
        yield events, metrics


def count(metrics: Metrics, outcome: str) -> float:
    return metrics.registry.get_sample_value("imagier_usage_events_total", {"outcome": outcome}) or 0.0


async def test_an_event_says_who_pays_what_for_which_tasks() -> None:
    sent: list[bytes] = []
    async with telling(sent.extend) as (events, metrics):
        await answer(events, DONE | FAILED)
        await answer(events, FAILED)
        await answer(events, {})
        with pytest.raises(EngineUnavailableError):
            async with events.stage(WORK, CALL, Receipt()):
                raise EngineUnavailableError("down")
        await answer(events, DONE, CallContext(Transport.GRPC, Lane.INTERACTIVE))
    found = [JSONFormat().read(CloudEvent, event) for event in sent]
    assert [event.get_id() for event in found[:2]] == ["op-tags", "op-ocr"]
    assert {(event.get_source(), event.get_type(), event.get_specversion()) for event in found} == {
        ("imagier", "imagier.task.charged", "1.0")
    }
    assert [event.get_subject() for event in found] == ["library", "library", "anybody", "anybody"]
    assert all(event.get_time() for event in found)
    assert found[1].get_data() == {"task": "ocr", "credits": 4, "keyId": "7f3a", "lane": "bulk", "transport": "grpc"}
    assert len({event.get_id() for event in found}) == 4
    assert not any(word in event for event in sent for word in (b"tabby", b"words", b"a request", b"a picture"))
    assert count(metrics, "sent") == 4


async def test_a_retry_of_what_had_failed_is_one_event_more_and_of_what_had_not_the_same() -> None:
    sent: list[bytes] = []
    async with telling(sent.extend) as (events, _):
        await answer(events, {"tags": DONE["tags"], "ocr": FAILED["caption"]})
        await answer(events, DONE)
    by_id = {event["id"]: event["data"]["credits"] for event in map(json.loads, sent)}
    assert (len(sent), by_id) == (3, {"op-tags": 1, "op-ocr": 4}), "as a receiver that drops repeated ids counts it"


async def test_a_receiver_that_is_away_gets_everything_in_order_once_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sent: list[bytes] = []
    away = iter([OSError("away")] * 3)

    def sink(events: Sequence[bytes]) -> None:
        if error := next(away, None):
            raise error
        sent.extend(events)

    async with telling(sink) as (events, metrics):
        for number in range(250):
            await answer(events, {"tags": TaskOutcome((), result="tabby", cost=number)})
    assert [json.loads(event)["data"]["credits"] for event in sent] == list(range(250))
    assert (count(metrics, "sent"), count(metrics, "dropped")) == (250, 0)
    assert [record.getMessage() for record in caplog.records] == ["usage events wait"], "once an outage"


async def test_what_waits_is_bounded_and_a_shutdown_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(usage_events, "MAX_WAITING", 10)
    monkeypatch.setattr(usage_events, "_GOODBYE_SECONDS", 0.01)

    def sink(events: Sequence[bytes]) -> None:
        raise OSError("away")

    async with telling(sink) as (events, metrics):
        for _ in range(8):
            await answer(events, DONE)
        assert metrics.registry.get_sample_value("imagier_usage_events_waiting") == 10
    assert count(metrics, "dropped") == 6
    assert "usage events lost" in {record.getMessage() for record in caplog.records}


async def test_what_is_refused_for_good_does_not_block_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    sent: list[bytes] = []

    def sink(events: Sequence[bytes]) -> None:
        if b'"credits": 0' in events[0]:
            raise RefusedError("status 400")
        sent.extend(events)

    async with telling(sink) as (events, metrics):
        await answer(events, {"tags": TaskOutcome((), result="tabby")})
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            while count(metrics, "dropped") == 0:
                await asyncio.to_thread(lambda: None)
        await answer(events, DONE)
    assert (len(sent), count(metrics, "dropped")) == (2, 1)


def test_a_file_gets_whole_lines_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "usage.jsonl"
    send = to_file(path)
    send([b'{"a": 1}', b'{"b": 2}'])
    assert path.stat().st_mode & 0o007 == 0

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="full"):
            send([b'{"c": 3}'])
    send([b'{"c": 3}'])
    assert path.read_text().splitlines() == ['{"a": 1}', '{"b": 2}', '{"c": 3}']


@contextmanager
def receiving(statuses: Iterator[int]) -> Iterator[tuple[str, list[tuple[dict[str, str], Any]]]]:
    """An HTTP server that answers with these; its address, and what it got."""
    got: list[tuple[dict[str, str], Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append(({name.lower(): value for name, value in self.headers.items()}, json.loads(body)))
            self.send_response(next(statuses))
            self.send_header("location", "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/v1/events", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_a_url_gets_batches_with_the_token_and_each_until_it_is_taken(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("om_secret\n")
    with receiving(iter([503, 429, 401, 204])) as (url, got):
        async with telling(to_url(url, token)) as (events, metrics):
            await answer(events, DONE)
            await answer(events, DONE)
    assert len(got) == 4
    assert all(batch == got[0][1] for _, batch in got), "the same events, with the same ids"
    headers = got[-1][0]
    assert headers["content-type"] == "application/cloudevents-batch+json"
    assert headers["authorization"] == "Bearer om_secret"
    assert count(metrics, "sent") == 4


@pytest.mark.parametrize("status", [400, 422, 302, 307])
def test_a_url_that_refuses_or_sends_elsewhere(status: int) -> None:
    with receiving(iter([status])) as (url, got), pytest.raises(RefusedError, match=str(status)):
        to_url(url, None)([b"{}"])
    assert len(got) == 1, "no redirect is followed"


def test_nobody_listens() -> None:
    with pytest.raises(OSError, match="refused"):
        to_url("http://127.0.0.1:1/", None)([b"{}"])
