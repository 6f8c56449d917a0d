# SPDX-License-Identifier: Apache-2.0
"""Streams that break, hang or are refused, by both clients, before a real gRPC server that misbehaves to order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
from imagier_client import (
    Annotation,
    DeadlineError,
    ImagierClientError,
    Ocr,
    Tags,
    UnavailableError,
    Waiting,
    retry,
)
from support.both_clients import AWAY, DRAINING, NOBODY, QUICK, Kind, refusing
from support.scripted_annotator import (
    BROKEN,
    Requests,
    Scripted,
    StreamResponse,
    answer,
    refuse,
    serving,
    status,
)


async def test_what_a_broken_stream_left_is_sent_again(client: Any, script: Scripted) -> None:
    async def fragile(requests: Requests, context: Any) -> AsyncIterator[StreamResponse]:
        answered = 0
        async for item in requests:
            if answered == 3 and script.streams < 4:
                await refuse(context, BROKEN)
            answered += 1
            yield answer(item.request)

    script.stream = fragile
    answers = await client.many([(number, bytes(number)) for number in range(20)], Tags(), in_flight=5)
    assert sorted(key for key, _ in answers) == list(range(20))
    assert all(outcome.width == key for key, outcome in answers)
    assert script.streams == 4
    assert len(client.stalls) == 3


async def test_a_stream_that_ends_too_early_is_opened_again(client: Any, script: Scripted) -> None:
    async def brief(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        async for item in requests:
            yield answer(item.request)
            if script.streams < 3:
                return

    script.stream = brief
    answers = await client.many([(number, b"1") for number in range(6)], Tags(), in_flight=2)
    assert sorted(key for key, _ in answers) == list(range(6))
    assert script.streams == 3


async def test_a_stream_that_never_answers_is_given_up(kind: Kind, target: str, script: Scripted) -> None:
    async def down(requests: Requests, context: Any) -> AsyncIterator[StreamResponse]:
        await refuse(context, AWAY)
        yield StreamResponse()

    script.stream = down
    async with kind(target, retry=replace(QUICK, patience=0.5)) as client:
        with pytest.raises(UnavailableError) as caught:
            await client.many([(number, b"1") for number in range(6)], Tags())
    assert caught.value.reason == "ENGINE_UNAVAILABLE"
    assert script.streams > 1
    assert {waiting.error.reason for waiting in client.stalls} == {"ENGINE_UNAVAILABLE"}


async def test_a_stream_refused_for_good_is_given_up_at_once(client: Any, script: Scripted) -> None:
    async def no(requests: Requests, context: Any) -> AsyncIterator[StreamResponse]:
        await refuse(context, status(grpc.StatusCode.UNIMPLEMENTED))
        yield StreamResponse()

    script.stream = no
    with pytest.raises(ImagierClientError) as caught:
        await client.many([("a", b"1")], Tags())
    assert (caught.value.code, script.streams) == ("UNIMPLEMENTED", 1)


async def test_a_picture_that_may_succeed_later_is_sent_again(client: Any, script: Scripted) -> None:
    async def starting(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        seen: set[str] = set()
        async for item in requests:
            first = item.request.request_id not in seen
            seen.add(item.request.request_id)
            yield answer(item.request, AWAY if first else None)

    script.stream = starting
    answers = await client.many([(number, b"1") for number in range(5)], Tags())
    assert all(isinstance(outcome, Annotation) for _, outcome in answers)
    assert len(answers) == 5
    assert script.streams == 1


async def test_a_picture_is_not_sent_again_for_ever(kind: Kind, target: str, script: Scripted) -> None:
    async def down(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        async for item in requests:
            yield answer(item.request, AWAY)

    script.stream = down
    async with kind(target, retry=replace(QUICK, patience=0.5)) as client:
        ((_, outcome),) = await client.many([("a", b"1")], Tags())
    assert isinstance(outcome, UnavailableError)
    assert len(script.requests) > 1


async def test_no_picture_is_lost_while_the_engine_is_away(kind: Kind, target: str, script: Scripted) -> None:
    """The engine is away from the third picture on until each picture in flight was asked for several times."""
    seen: list[str] = []

    async def restarting(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        async for item in requests:
            made = answer(item.request)
            seen.append(item.request.request_id)
            if 2 < len(seen) < 30:
                for task in ("tags", "ocr") if len(seen) % 3 else ("ocr",):
                    if item.request.HasField(task):
                        getattr(made.response, task).Clear()
                        getattr(made.response, task).status.CopyFrom(AWAY)
                        made.response.cost -= 1
            yield made

    script.stream = restarting
    pictures = [(number, bytes(number)) for number in range(40)]
    async with kind(target, retry=QUICK) as client:
        answers = dict(await client.many(pictures, Tags(), Ocr(), in_flight=4))
    assert sorted(answers) == list(range(40))
    for key, annotation in answers.items():
        assert (annotation.width, annotation.tags.ok, annotation.ocr.ok) == (key, True, True)
        assert annotation.tags.tags[0].id == "n02124075"
        assert annotation.ocr.text == "Rue des Lilas"
    assert script.streams == 1
    assert any(not request.HasField("tags") for request in script.requests), "only what failed is asked for again"
    assert client.stalls
    assert {waiting.error.reason for waiting in client.stalls} == {"ENGINE_UNAVAILABLE"}
    assert all(waiting.pictures <= 4 for waiting in client.stalls)


async def test_a_server_that_goes_away_altogether_is_waited_for(kind: Kind, unused_tcp_port: int) -> None:
    first, second = Scripted(), Scripted()
    stood_still = asyncio.Event()
    loop = asyncio.get_running_loop()

    def note(_waiting: Waiting) -> None:
        loop.call_soon_threadsafe(stood_still.set)

    async with kind(f"127.0.0.1:{unused_tcp_port}", retry=QUICK, on_wait=note) as client:
        half = asyncio.Event()

        async def some(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
            async for item in requests:
                if int(item.request.request_id) > 5:
                    half.set()
                    await asyncio.Event().wait()
                yield answer(item.request)

        first.stream = some
        async with serving(first, unused_tcp_port):
            run = asyncio.ensure_future(client.many([(number, bytes(number)) for number in range(12)], Tags()))
            await asyncio.wait_for(half.wait(), 20)
        await asyncio.wait_for(stood_still.wait(), 20)
        async with serving(second, unused_tcp_port):
            answers = await asyncio.wait_for(run, 60)
    assert {key: outcome.width for key, outcome in answers} == {number: number for number in range(12)}


async def test_what_is_told_of_waiting_may_end_the_run(kind: Kind, target: str, script: Scripted) -> None:
    async def down(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        async for item in requests:
            yield answer(item.request, AWAY)

    def enough(waiting: Waiting) -> None:
        raise LookupError(waiting.error.reason)

    script.stream = down
    async with kind(target, on_wait=enough) as client:
        with pytest.raises(LookupError, match="ENGINE_UNAVAILABLE"):
            await client.many([("a", b"1")], Tags())


async def test_nobody_listens_is_said_at_once_and_where(kind: Kind) -> None:
    async with kind(NOBODY) as client:
        with pytest.raises(UnavailableError, match=f"no answer from {NOBODY}"):
            await client.many([("a", b"1")], Tags())
        assert len(client.waits) == 4


async def test_a_server_that_hangs_does_not_hold_the_stream(
    client: Any, script: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "STREAM_SECONDS", 0.2)
    gone = asyncio.Event()

    async def hang(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        try:
            async for _ in requests:
                pass
            await asyncio.Event().wait()
        finally:
            gone.set()
        yield StreamResponse()

    script.stream = hang
    with pytest.raises(DeadlineError):
        await client.many([("a", b"1")], Tags(), timeout=0.2)
    await asyncio.wait_for(gone.wait(), 10)


async def test_a_server_that_shuts_down_is_left_at_once(client: Any, script: Scripted) -> None:
    async def draining(requests: Requests, context: Any) -> AsyncIterator[StreamResponse]:
        answered = 0
        async for item in requests:
            if answered == 2 and script.streams == 1:
                await refuse(context, DRAINING)
            answered += 1
            yield answer(item.request)

    script.annotate, script.stream = refusing(DRAINING), draining
    assert (await client.annotate(b"1", Tags())).width == 1
    answers = await client.many([(number, bytes(number)) for number in range(6)], Tags(), in_flight=3)
    assert sorted((key, outcome.width) for key, outcome in answers) == [(number, number) for number in range(6)]
    assert script.streams == 2
    (unary,), (stream,) = client.waits, client.stalls
    assert max(unary, stream.seconds) <= 0.2
