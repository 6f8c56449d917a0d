# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio

import pytest
from imagier_server.admission.limits import Limits
from imagier_server.errors import DrainingError, ImageTooLargeError, OverloadedError
from imagier_server.metrics import Metrics


def limits(pictures: int = 2, total: int = 100, image: int = 80) -> Limits:
    return Limits(pictures, total, image, Metrics())


def test_refuses_by_count_without_waiting_and_lets_in_again() -> None:
    room = limits(pictures=2)
    first, _second = room.enter(1), room.enter(1)
    with pytest.raises(OverloadedError) as refused:
        room.enter(1)
    assert refused.value.retry_after is not None
    assert (refused.value.reason, refused.value.cause) == ("OVERLOADED", "PICTURES_FULL")
    first.leave()
    room.enter(1)


def test_refuses_by_bytes() -> None:
    room = limits(pictures=9, total=100)
    with room.enter(60), pytest.raises(OverloadedError) as refused:
        room.enter(60)
    assert refused.value.cause == "BYTES_FULL"
    room.enter(60)


def test_a_file_larger_than_all_the_room_still_comes_in_alone() -> None:
    room = limits(total=10, image=80)
    with room.enter(50), pytest.raises(OverloadedError):
        room.enter(1)


def test_leaving_twice_frees_one_place_only() -> None:
    room = limits(pictures=1)
    place = room.enter(1)
    place.leave()
    place.leave()
    room.enter(1)
    with pytest.raises(OverloadedError):
        room.enter(1)


def test_a_file_over_the_cap_is_a_permanent_fault() -> None:
    with pytest.raises(ImageTooLargeError) as refused:
        limits(image=80).check_size(81)
    assert refused.value.retry_after is None
    limits(image=80).check_size(80)


async def test_a_stream_waits_until_a_place_is_free() -> None:
    room = limits(pictures=1)
    first = room.enter(1)
    waiting = asyncio.create_task(room.wait(1))
    other = asyncio.create_task(room.wait(1))
    await asyncio.wait([waiting, other], timeout=0.01)
    assert not waiting.done()
    first.leave()
    place = await waiting
    assert not other.done(), "one place was freed, one waiter gets it"
    place.leave()
    (await other).leave()


@pytest.mark.parametrize(("pictures", "of_streams"), [(1, 1), (2, 1), (8, 7), (64, 56)])
async def test_streams_leave_room_to_callers_who_do_not_wait(pictures: int, of_streams: int) -> None:
    room = limits(pictures=pictures, total=1000)
    streams = [asyncio.create_task(room.wait(1)) for _ in range(pictures + 1)]
    await asyncio.wait(streams, timeout=0.01)
    assert sum(stream.done() for stream in streams) == of_streams
    for _ in range(pictures - of_streams):
        room.enter(1)
    with pytest.raises(OverloadedError):
        room.enter(1)
    for stream in streams:
        stream.cancel()


async def test_streams_leave_bytes_to_callers_who_do_not_wait() -> None:
    room = limits(pictures=9, total=80)
    (await room.wait(70)).leave()
    (await room.wait(80)).leave()  # alone
    first = await room.wait(60)
    second = asyncio.create_task(room.wait(15))
    await asyncio.wait([second], timeout=0.01)
    assert not second.done()
    room.enter(15).leave()
    first.leave()
    (await second).leave()


async def test_draining_refuses_callers_and_those_who_wait() -> None:
    room = limits(pictures=1)
    held = room.enter(1)
    waiting = asyncio.create_task(room.wait(1))
    await asyncio.wait([waiting], timeout=0.01)
    room.drain()
    with pytest.raises(DrainingError):
        await waiting
    with pytest.raises(DrainingError):
        room.enter(1)
    held.leave()


def test_the_gauges_follow() -> None:
    metrics = Metrics()
    room = Limits(2, 100, 80, metrics)
    with room.enter(30):
        assert metrics.registry.get_sample_value("imagier_in_flight_pictures") == 1
        assert metrics.registry.get_sample_value("imagier_in_flight_bytes") == 30
    assert metrics.registry.get_sample_value("imagier_in_flight_bytes") == 0
    assert metrics.registry.get_sample_value("imagier_in_flight_pictures_limit") == 2
