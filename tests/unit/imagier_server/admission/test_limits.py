# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pytest
from imagier_server.admission.admission import Receipt
from imagier_server.admission.draining import Draining
from imagier_server.admission.holdings import Holder
from imagier_server.admission.limits import Demand, Limits, Permit
from imagier_server.admission.pace import Pace
from imagier_server.call import CallContext, Caller, Lane, Transport
from imagier_server.errors import DrainingError, OverloadedError, QuotaError
from imagier_server.metrics import Metrics


def limits(pictures: int = 2, total: int = 100) -> Limits:
    return Limits(pictures, total, Draining(), Metrics())


def test_refuses_by_count_without_waiting_and_lets_in_again() -> None:
    room = limits(pictures=2)
    first, _second = room.enter(1), room.enter(1)
    with pytest.raises(OverloadedError) as refused:
        room.enter(1)
    assert refused.value.retry_after is not None
    assert (refused.value.reason, refused.value.cause) == ("OVERLOADED", "PICTURES_FULL")
    first.leave()
    room.enter(1)


def test_who_is_refused_is_told_when_there_will_be_room() -> None:
    clock = [0.0]
    room = Limits(1, 100, Draining(), Metrics(), demand=Demand(pace=Pace(lambda: clock[0])))
    for _ in range(20):  # half a second each
        with room.enter(1):
            clock[0] += 0.5
    room.enter(1)
    delays = []
    for _ in range(3):
        with pytest.raises(OverloadedError) as refused:
            room.enter(1)
        assert refused.value.used_up == "server:in_flight"
        delays.append(refused.value.retry_after)
    assert delays == pytest.approx([0.5, 1.0, 1.5])


def test_refuses_by_bytes() -> None:
    room = limits(pictures=9, total=100)
    with room.enter(60), pytest.raises(OverloadedError) as refused:
        room.enter(60)
    assert refused.value.cause == "BYTES_FULL"
    room.enter(60)


def test_a_file_larger_than_all_the_room_still_comes_in_alone() -> None:
    room = limits(total=10)
    with room.enter(50), pytest.raises(OverloadedError):
        room.enter(1)


def test_a_call_is_refused_before_its_picture_comes_only_if_none_would_fit() -> None:
    room, one = limits(pictures=2), CallContext(Transport.GRPC, Lane.INTERACTIVE, Caller("one", "1"))
    other = CallContext(Transport.GRPC, Lane.INTERACTIVE, Caller("other", "2"))
    room.knock(one)
    first = room.enter(1, one.caller)
    room.knock(other)
    with pytest.raises(OverloadedError) as refused:
        room.knock(one)  # its share
    assert (refused.value.cause, refused.value.used_up) == ("CALLER_FULL", "caller:in_flight")
    assert refused.value.retry_after is not None
    with room.enter(1, other.caller), pytest.raises(OverloadedError) as refused:
        room.knock(CallContext(Transport.GRPC, Lane.INTERACTIVE, Caller("third", "3")))
    assert (refused.value.cause, refused.value.used_up) == ("PICTURES_FULL", "server:in_flight")
    first.leave()
    room.knock(one)


def test_a_server_that_drains_refuses_nobody_as_full() -> None:
    draining = Draining()
    room = Limits(1, 100, draining, Metrics())
    room.enter(1)
    draining.begin()
    room.knock(CallContext(Transport.GRPC, Lane.INTERACTIVE))


def test_leaving_twice_frees_one_place_only() -> None:
    room = limits(pictures=1)
    place = room.enter(1)
    place.leave()
    place.leave()
    room.enter(1)
    with pytest.raises(OverloadedError):
        room.enter(1)


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


@pytest.mark.parametrize(("pictures", "of_streams"), [(1, 1), (2, 1), (8, 6), (64, 49)])
async def test_streams_leave_room_to_callers_who_do_not_wait(pictures: int, of_streams: int) -> None:
    room = limits(pictures=pictures, total=1000)
    streams = [asyncio.create_task(room.wait(1)) for _ in range(pictures + 1)]
    await asyncio.wait(streams, timeout=0.01)
    assert sum(stream.done() for stream in streams) == of_streams
    alone = pictures - pictures // 8
    for _ in range(alone - of_streams):
        room.enter(1)
    with pytest.raises(OverloadedError) as refused:
        room.enter(1)
    assert refused.value.cause == ("CALLER_FULL" if pictures >= 8 else "PICTURES_FULL")
    for _ in range(pictures - alone):
        room.enter(1, Caller("another", "1"))
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
    room.enter(10).leave()
    first.leave()
    (await second).leave()


async def test_draining_refuses_those_who_wait() -> None:
    draining = Draining()
    room = Limits(1, 100, draining, Metrics())
    held = room.enter(1)
    waiting = asyncio.create_task(room.wait(1))
    await asyncio.wait([waiting], timeout=0.01)
    draining.begin()
    with pytest.raises(DrainingError):
        await waiting
    with pytest.raises(DrainingError):
        await room.wait(1)
    held.leave()
    with pytest.raises(DrainingError):
        await room.wait(1)  # there is room now


def test_the_gauges_follow() -> None:
    metrics = Metrics()
    room = Limits(2, 100, Draining(), metrics)
    with room.enter(30):
        assert metrics.registry.get_sample_value("imagier_in_flight_pictures") == 1
        assert metrics.registry.get_sample_value("imagier_in_flight_bytes") == 30
    assert metrics.registry.get_sample_value("imagier_in_flight_bytes") == 0
    assert metrics.registry.get_sample_value("imagier_in_flight_pictures_limit") == 2


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Tenants:
    """Streams of pictures by tenant, (streams, cost), that ask again as soon as they have a place; and the places in order."""

    def __init__(self, room: Limits, **tenants: tuple[int, float]) -> None:
        self.admitted = dict.fromkeys(tenants, 0)
        self._places: list[Permit] = []
        self._streams = [
            asyncio.create_task(self._stream(room, Caller(tenant, str(number)), cost))
            for tenant, (streams, cost) in tenants.items()
            for number in range(streams)
        ]

    async def _stream(self, room: Limits, caller: Caller, cost: float) -> None:
        while True:
            place = await room.wait(1, caller, cost=cost)
            self.admitted[caller.group] += 1
            self._places.append(place)

    async def answer(self, pictures: int) -> None:
        """Answer so many, in the order in which they were admitted."""
        await settled()
        for _ in range(pictures):
            self._places.pop(0).leave()
            await settled()

    def end(self) -> None:
        for stream in self._streams:
            stream.cancel()


async def test_tenants_share_what_is_freed_however_many_streams_they_have() -> None:
    tenants = Tenants(limits(pictures=33, total=1000), ten=(10, 1.0), one=(1, 1.0))
    await tenants.answer(400)
    assert min(tenants.admitted.values()) > 180
    tenants.end()


async def test_expensive_pictures_take_fewer_turns() -> None:
    tenants = Tenants(limits(pictures=2, total=1000), pages=(10, 8.0), tags=(10, 1.0))
    await tenants.answer(180)
    assert 150 <= tenants.admitted["tags"] <= 165
    tenants.end()


async def test_a_key_has_limits_of_its_own() -> None:
    room = limits(pictures=20, total=1000)
    key = Holder("key a", pictures=2, total_bytes=100)
    with room.enter(1, holder=key), room.enter(1, holder=key):
        with pytest.raises(QuotaError) as refused:
            room.enter(1, holder=key)
        assert (refused.value.cause, refused.value.used_up) == ("KEY_IN_FLIGHT", "key:in_flight")
        assert refused.value.retry_after
        stream = asyncio.create_task(room.wait(1, holder=key))
        await settled()
        assert not stream.done(), "a stream is not refused"
        room.enter(1, holder=Holder("key b", pictures=2)).leave()
    (await stream).leave()
    with room.enter(90, holder=key), pytest.raises(QuotaError) as refused:
        room.enter(20, holder=key)
    assert refused.value.used_up == "key:in_flight_bytes"


async def test_a_stream_that_is_gone_as_its_turn_comes_holds_nothing() -> None:
    room = limits(pictures=1)
    first = room.enter(1)
    waiting = asyncio.create_task(room.wait(1))
    await settled()
    first.leave()
    waiting.cancel()
    await asyncio.wait([waiting])
    room.enter(1)


async def test_a_call_of_a_batch_waits_for_a_while() -> None:
    room = limits(pictures=1)
    loop = asyncio.get_running_loop()
    call = CallContext(Transport.HTTP, Lane.BULK, waits_until=loop.time() + 3600)
    async with room.stage(Sized(1), call, Receipt()):
        waiting = asyncio.create_task(held(room, replace(call, waits_until=loop.time() + 3600)))
        with pytest.raises(OverloadedError) as refused:
            await held(room, replace(call, waits_until=loop.time()))
        assert (refused.value.cause, refused.value.used_up) == ("PICTURES_FULL", "server:in_flight")
        assert refused.value.retry_after
        assert not waiting.done()
    await waiting
    await held(room, replace(call, waits_until=loop.time()))


@dataclass(frozen=True)
class Sized:
    size: int
    image: bytes = b""
    tasks: tuple[str, ...] = ("tags",)


async def held(room: Limits, call: CallContext) -> None:
    async with room.stage(Sized(1), call, Receipt()):
        pass
