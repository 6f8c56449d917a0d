# SPDX-License-Identifier: Apache-2.0
"""What is read of whom, and in which order: capacity for whole messages, and whose are stopped."""

from __future__ import annotations

import asyncio

import pytest
from imagier_server.admission import receiving
from imagier_server.admission.heap import Heap
from imagier_server.call import Caller
from imagier_server.errors import DeadlineError, OverloadedError
from support.uploads import EMPTY, IDLE, MESSAGE, Uploads


async def test_what_is_read_is_handed_on(uploads: Uploads) -> None:
    upload = uploads.start("a")
    await uploads.until("a")
    assert uploads.sample("arriving_requests") == 1
    uploads.ends["a"].set()
    assert await upload == "a"
    assert uploads.sample("arriving_requests") == 0
    await uploads.receiving.close()


async def test_so_many_begin_at_once_as_there_is_room_for_whole_ones_twice_over(uploads: Uploads) -> None:
    started = [uploads.start(name) for name in "abcd"]
    await uploads.until("a", "b")
    uploads.ends["a"].set()
    await started[0]
    await uploads.until("a", "b", "c")
    await uploads.until("a", "b", "c", "d")  # once a look has shown that the first ones bring little
    for task in started:
        task.cancel()
    await asyncio.wait(started)
    await uploads.receiving.close()


async def test_beyond_the_room_those_of_whoever_has_most_are_stopped_oldest_first() -> None:
    uploads = Uploads(total=2 * MESSAGE)
    flood, polite = Caller("flood", "1"), Caller("polite", "2")
    mine = uploads.start("polite", polite)
    await uploads.until("polite")
    theirs = []
    for name in "abc":
        theirs.append(uploads.start(name, flood))
        await uploads.until("polite", *"abc"[: len(theirs)])
    uploads.arrive("2", MESSAGE // 2)
    uploads.arrive("1", 3 * MESSAGE)
    stopped, _ = await asyncio.wait(theirs, return_when=asyncio.FIRST_COMPLETED)
    uploads.heap.used -= 3 * MESSAGE
    assert theirs[0] in stopped
    with pytest.raises(OverloadedError) as raised:
        await theirs[0]
    assert raised.value.retry_after
    assert not mine.done()
    assert (uploads.sample("refused_calls_total", reason="ARRIVING_FULL") or 0) >= 1
    uploads.ends["polite"].set()
    assert await mine == "polite"
    for task in theirs:
        task.cancel()
    await asyncio.wait(theirs)
    await uploads.receiving.close()


async def test_a_full_room_is_cleared_for_another_who_waits(uploads: Uploads) -> None:
    flood, polite = Caller("flood", "1"), Caller("polite", "2")
    theirs = []
    for name in "abcd":
        theirs.append(uploads.start(name, flood))
        await uploads.until(*"abcd"[: len(theirs)])
    uploads.arrive("1", 4 * MESSAGE)
    while uploads.receiving._bytes != 4 * MESSAGE:  # noqa: ASYNC110
        await asyncio.sleep(0)
    mine = uploads.start("polite", polite)
    with pytest.raises(OverloadedError):
        await theirs[0]
    uploads.heap.used -= MESSAGE
    await uploads.until(*"abcd", "polite")
    assert not mine.done()
    for task in (*theirs, mine):
        task.cancel()
    await asyncio.wait([*theirs, mine])
    await uploads.receiving.close()


@pytest.mark.parametrize("connection", ["1", "2"])
async def test_a_read_of_which_nothing_comes_is_left_alone_whatever_the_heap_is_needed_for(
    uploads: Uploads, connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "_PATIENCE_SECONDS", 0)
    idle = uploads.start("idle", IDLE)
    await uploads.until("idle")
    begun = ["idle"]
    for number in range(20):
        burst = [f"{number}.{place}" for place in range(4)]
        started = [uploads.start(name, Caller("somebody", connection), size=MESSAGE // 2) for name in burst]
        begun += burst
        await uploads.until(*begun)  # more than may begin at once: some wait while the idle one is read
        uploads.arrive(connection, len(burst) * (MESSAGE // 2))
        await uploads.looks(2)
        for name in burst:
            uploads.ends[name].set()
        assert await asyncio.gather(*started) == burst
        await uploads.looks(2)
    # What they brought is worked on, and nothing of it is given back.
    assert uploads.heap.used > EMPTY + 7 * uploads.receiving._total_bytes
    assert uploads.sample("refused_calls_total", reason="ARRIVING_FULL") is None
    assert not idle.done()
    uploads.ends["idle"].set()
    assert await idle == "idle"
    await uploads.receiving.close()


async def test_what_arrives_is_seen_although_the_heap_has_grown_for_others(uploads: Uploads) -> None:
    idle, flood = uploads.start("idle", IDLE), Caller("flood", "2")
    await uploads.until("idle")
    uploads.heap.used += 100 * MESSAGE
    await uploads.looks(2)
    theirs = []
    for number in range(6):
        theirs.append(uploads.start(str(number), flood))
        await uploads.until("idle", *map(str, range(number + 1)))
    uploads.arrive("2", 6 * MESSAGE)
    stopped, _ = await asyncio.wait(theirs, return_when=asyncio.FIRST_COMPLETED)
    assert theirs[0] in stopped
    assert not idle.done()
    for task in (*theirs, idle):
        task.cancel()
    await asyncio.wait([*theirs, idle])
    await uploads.receiving.close()


async def test_a_message_has_its_time(uploads: Uploads) -> None:
    with pytest.raises(DeadlineError):
        await uploads.start("a", seconds=0.01)
    assert uploads.sample("refused_calls_total", reason="DEADLINE_EXCEEDED") == 1
    await uploads.receiving.close()


async def test_more_calls_than_there_may_be_are_refused() -> None:
    uploads = Uploads(calls=2)
    one, other = Caller("one", "1"), Caller("other", "1")
    third = uploads.receiving.call(Caller("third", "1"))
    with uploads.receiving.call(one), uploads.receiving.call(other), pytest.raises(OverloadedError):
        third.__enter__()
    with uploads.receiving.call(one):
        pass


@pytest.mark.parametrize("idle", [False, True])
async def test_memory_is_given_back_when_the_uploads_are_over(monkeypatch: pytest.MonkeyPatch, idle: bool) -> None:
    monkeypatch.setattr(receiving, "_TRIM_BYTES", MESSAGE // 2)
    monkeypatch.setattr(receiving, "_SETTLED_SECONDS", 0)
    uploads = Uploads()
    waits = [uploads.start("idle", IDLE)] if idle else []
    upload = uploads.start("a", Caller("other", "2"))
    await uploads.looks(1)
    uploads.arrive("2", MESSAGE)
    await uploads.looks(2)
    uploads.ends["a"].set()
    await upload
    uploads.heap.used -= MESSAGE
    async with asyncio.timeout(10):
        while not uploads.heap.trimmed:  # noqa: ASYNC110
            await asyncio.sleep(0)
    if idle:
        await uploads.looks(3)
    assert uploads.heap.trimmed == 1
    for task in waits:
        task.cancel()
        await asyncio.wait(waits)
    assert uploads.receiving._measuring
    await asyncio.wait([uploads.receiving._measuring])
    assert uploads.sample("arriving_bytes") == 0
    await uploads.receiving.close()


def test_the_heap_of_this_process_says_what_is_in_use() -> None:
    heap = Heap()
    before = heap.in_use()
    held = [bytes(100_000) for _ in range(100)]
    grown = heap.in_use() - before
    assert grown == 0 or 9_000_000 < grown < 12_000_000  # 0: another C library
    del held
    heap.trim()
