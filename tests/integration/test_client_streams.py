# SPDX-License-Identifier: Apache-2.0
"""Many pictures on a stream, by both clients, before a real gRPC server."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from imagier_client import (
    Annotation,
    AsyncClient,
    Caption,
    Client,
    ImageTooLargeError,
    InvalidImageError,
    Ocr,
    Tags,
    UnreadableFileError,
)
from imagier_client.window import Window
from support.both_clients import AWAY, Blocking, Kind
from support.scripted_annotator import (
    BAD_IMAGE,
    Requests,
    Scripted,
    StreamResponse,
    answer,
)


async def test_many_pictures_keep_their_keys_which_stay_here(client: Any, script: Scripted) -> None:
    async def backwards(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        held = []
        async for item in requests:
            held.append(item.request)
            if len(held) == 4:
                for request in reversed(held):
                    yield answer(request)
                held.clear()

    script.stream = backwards
    keys = [("holiday", number) for number in range(8)]
    answers = await client.many(
        [(key, bytes(key[1] + 1)) for key in keys], Tags(), Ocr(), Caption(), languages=("fr",), in_flight=4
    )
    assert {key: outcome.width for key, outcome in answers} == {key: key[1] + 1 for key in keys}
    assert [key[1] for key, _ in answers][:4] == [3, 2, 1, 0]
    assert all(outcome.request_id == "" and outcome.tags.tags[0].name == "mau égyptien" for _, outcome in answers)
    assert {outcome.caption.title for _, outcome in answers} == {"Brown cat"}
    assert not any("holiday" in request.request_id for request in script.requests)
    assert script.streams == 1


async def test_a_retry_that_comes_due_between_two_looks_at_the_clock_is_sent(
    client: Any, script: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, late, wait = 0, 0.0, Window.wait

    async def away_once(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        nonlocal asked
        async for item in requests:
            asked += 1
            yield answer(item.request, AWAY if asked == 1 else None)

    def overtaken(window: Window[Any]) -> float | None:
        """As on a busy machine: what was not due a moment ago is due now."""
        nonlocal late
        late += wait.__get__(window) or 0.0
        return wait.__get__(window)

    script.stream = away_once
    monkeypatch.setitem(Window.__init__.__kwdefaults__, "clock", lambda: time.monotonic() + late)
    monkeypatch.setattr(Window, "wait", property(overtaken))
    async with asyncio.timeout(60):
        ((_, outcome),) = await client.many([("key", b"1")], Tags())
    assert isinstance(outcome, Annotation)
    assert asked == 2


async def test_no_picture_no_stream(client: Any, script: Scripted) -> None:
    assert await client.many([], Tags()) == []
    assert script.streams == 0


async def test_a_failed_picture_is_its_own_answer(client: Any, script: Scripted, tmp_path: Path) -> None:
    async def choosy(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        async for item in requests:
            yield answer(item.request, BAD_IMAGE if item.request.image == b"bad" else None)

    script.stream = choosy
    os.mkfifo(tmp_path / "pipe")
    images = [("a", b"good"), ("b", b"bad"), ("c", tmp_path / "pipe"), ("d", bytes(2000)), ("e", b"good")]
    answers = dict(await client.many(images, Tags()))
    assert {key: type(outcome) for key, outcome in answers.items()} == {
        "a": Annotation,
        "b": InvalidImageError,
        "c": UnreadableFileError,
        "d": ImageTooLargeError,
        "e": Annotation,
    }
    assert answers["b"].field == "image"


async def test_the_same_key_twice_is_two_pictures(client: Any) -> None:
    answers = await client.many([("a", b"1"), ("a", b"22")], Tags())
    assert sorted(outcome.width for _, outcome in answers) == [1, 2]


async def test_how_long_a_picture_may_take_is_sent_along(client: Any, script: Scripted) -> None:
    timeouts = []

    async def noting(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        async for item in requests:
            timeouts.append(item.timeout.ToTimedelta().total_seconds() if item.HasField("timeout") else None)
            yield answer(item.request)

    script.stream = noting
    for timeout in (None, 90.5, float("inf")):
        await client.many([("a", b"1")], Tags(), timeout=timeout)
    assert timeouts == [None, 90.5, None]


async def test_no_more_are_taken_than_may_be_in_flight(client: Any) -> None:
    taken = answered = 0
    ahead: list[int] = []

    def images() -> Iterator[tuple[int, bytes]]:
        nonlocal taken
        for number in range(50):
            taken += 1
            ahead.append(taken - answered)
            yield number, b"1"

    if isinstance(client, Blocking):

        def read_slowly() -> None:
            nonlocal answered
            for _ in client.client.annotate_many(images(), Tags(), in_flight=3):
                answered += 1

        await asyncio.to_thread(read_slowly)
    else:
        async for _ in client.annotate_many(images(), Tags(), in_flight=3):
            answered += 1
    assert answered == 50
    # The window, and the one whose answer is being handed over.
    assert max(ahead) <= 4


async def test_answers_do_not_wait_for_a_slow_source(target: str) -> None:
    answered = asyncio.Event()

    async def images() -> AsyncIterator[tuple[int, bytes]]:
        yield 1, b"1"
        await asyncio.wait_for(answered.wait(), 10)
        yield 2, b"2"

    keys = []
    async with AsyncClient(target) as client:
        async for key, _ in client.annotate_many(images(), Tags()):
            keys.append(key)
            answered.set()
    assert keys == [1, 2]


async def test_who_stops_reading_ends_the_stream(kind: Kind, target: str, script: Scripted) -> None:
    gone = asyncio.Event()

    async def watched(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        try:
            async for item in requests:
                yield answer(item.request)
        finally:
            gone.set()

    script.stream = watched
    endless = ((number, b"1") for number in range(10**9))
    if kind is Blocking:

        def read_one() -> None:
            with Client(target) as client:
                answers = client.annotate_many(endless, Tags())
                next(answers)
                answers.close()

        await asyncio.to_thread(read_one)
    else:
        async with AsyncClient(target) as client:
            answers = client.annotate_many(endless, Tags())
            await anext(answers)
            await answers.aclose()
    await asyncio.wait_for(gone.wait(), 10)


async def test_an_error_of_the_callers_own_source_comes_through(client: Any) -> None:
    def images() -> Iterator[tuple[int, bytes]]:
        yield 1, b"1"
        raise LookupError

    with pytest.raises(LookupError):
        await client.many(images(), Tags())


async def test_large_pictures_flow_both_ways(client: Any, script: Scripted) -> None:
    script.image_bytes = 2**24
    answers = await client.many([(number, bytes(5 * 2**20 + number)) for number in range(6)], Ocr(), in_flight=3)
    assert sorted(outcome.width - 5 * 2**20 for _, outcome in answers) == list(range(6))
