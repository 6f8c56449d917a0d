# SPDX-License-Identifier: Apache-2.0
"""Bounds incomplete requests, which gRPC holds and does not report until the last byte."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from imagier_server.admission.callers import Shares
from imagier_server.admission.heap import Heap
from imagier_server.admission.pace import Pace
from imagier_server.admission.unfinished import Arriving, Unfinished
from imagier_server.call import Caller
from imagier_server.errors import DeadlineError, Full, ImagierError, OverloadedError
from imagier_server.metrics import Metrics

T = TypeVar("T")

_TICK_SECONDS = 0.03
_COST = 10  # minimum pause between two measurements, in multiples of their duration
_COPIES = 2  # copies of a message when it is complete: gRPC's and ours
_PATIENCE_SECONDS = 1.0  # for which a read is spared while others wait whose group holds no less
_MIB = 1 << 20
_TRIM_BYTES = 16 * _MIB  # worth returning to the system
_SETTLED_SECONDS = 1.0

_Waiting = tuple[tuple[int, int], int, asyncio.Future[None], Arriving]


class Receiving:
    """The capacity for messages being received: the calls of `shares`, `total_bytes` bytes, and per message those of `unfinished`.

    gRPC receives a message only while it is read (before that, 64 KiB), so a read starts when there is capacity for a whole
    message; recent reads count as whole ones, too. What older reads hold is measured: the growth of the heap, capped by the bytes
    received on their connections without complete messages. A read without any bytes holds nothing, however long it waits. Beyond
    the limit, or if others wait in vain, reads that hold bytes are stopped, oldest first, in the group that holds most.

    Small calls do not wait for capacity, but one at a time, so that calls that lie about their size gain a single read.
    """

    def __init__(
        self,
        shares: Shares,
        total_bytes: int,
        metrics: Metrics,
        heap: Heap,
        unfinished: Unfinished,
        pace: Pace | None = None,
    ) -> None:
        self._pace = pace or Pace()
        self._calls = shares.total
        self._total_bytes = total_bytes
        self._message_bytes = unfinished.message_bytes
        self._small = unfinished.message_bytes // 128  # a read is never stopped for less
        self._metrics = metrics
        self._heap = heap
        self._unfinished = unfinished
        self._shares = shares
        self._count = 0
        self._reading: dict[Arriving, None] = {}  # in order of age
        self._young: deque[set[Arriving]] = deque(
            (set(), set()), maxlen=2
        )  # since the last measurement, and the one before
        self._waiting: list[_Waiting] = []
        self._tickets = itertools.count()
        self._base = self._bytes = self._before = 0
        self._measuring: asyncio.Task[None] | None = None
        self._taken = 0  # bytes, since the heap was trimmed
        self._trimming: asyncio.Task[None] | None = None

    @contextmanager
    def call(self, caller: Caller, *, small: bool = False) -> Iterator[Arriving]:
        """The receiving part of a call; a `small` call has one message of a few bytes. Raises `OverloadedError`."""
        if self._count >= self._calls or not self._shares.fits(caller, 1):
            raise self._refused(self._overloaded("too many requests are being received", caller))
        self._change(caller, 1)
        try:
            yield Arriving(caller, small)
        finally:
            self._change(caller, -1)

    async def read(self, call: Arriving, read: Callable[[], Awaitable[T]], seconds: float | None) -> T:
        """Return the result of `read` within `seconds`. Raises `DeadlineError`, or `OverloadedError` if it is stopped."""
        size = None
        try:
            await self._turn(call)
            async with asyncio.timeout(seconds) as call.ends:
                message = await read()
                size = len(message) if isinstance(message, bytes) else None
                return message
        except TimeoutError:
            if call.stopped:
                error: ImagierError = self._overloaded("too many bytes of requests are being received", call.caller)
            else:
                error = DeadlineError(f"the request did not arrive within {seconds} s")
            raise self._refused(error) from None
        finally:
            call.ends = None
            if call in self._reading:
                del self._reading[call]
                self._unfinished.end(call, size)
                self._taken += max(size or 0, call.holds)
            for calls in self._young:
                calls.discard(call)
            self._let_in()

    async def close(self) -> None:
        """Stop measuring."""
        for task in (self._measuring, self._trimming):
            if task:
                task.cancel()
                await asyncio.wait([task])

    def _overloaded(self, text: str, caller: Caller) -> OverloadedError:
        return OverloadedError(text, Full.ARRIVING, retry_after=self._pace.turn(caller.group))

    def _refused(self, error: ImagierError) -> ImagierError:
        self._metrics.refused_calls.labels(error.cause).inc()
        return error

    def _change(self, caller: Caller, calls: int) -> None:
        self._count += calls
        self._shares.change(caller, calls)
        self._metrics.arriving.set(self._count)

    async def _turn(self, call: Arriving) -> None:
        """Wait until a read may start; connections, then groups, with the fewest reads go first."""
        if not self._measuring or self._measuring.done():
            self._measuring = asyncio.create_task(self._measure())
        turn = asyncio.get_running_loop().create_future()
        others = [other.caller for other in (*self._reading, *(waiting[-1] for waiting in self._waiting))]
        ahead = (others.count(call.caller), sum(other.group == call.caller.group for other in others))
        heapq.heappush(self._waiting, (ahead, next(self._tickets), turn, call))
        self._let_in()
        await turn

    def _let_in(self) -> None:
        while small := self._next_small():
            self._waiting.remove(small)
            heapq.heapify(self._waiting)
            self._begin(*small[-2:])
        while self._waiting:
            young = sum(map(len, self._young))
            if (young or self._holding()) and not self._room(young + 1):
                return
            self._begin(*heapq.heappop(self._waiting)[-2:])

    def _next_small(self) -> _Waiting | None:
        """The first waiting small call, unless another one may be holding bytes."""
        waiting = [entry for entry in self._waiting if entry[-1].small]
        if not waiting or any(
            call.small and (call.holds or any(call in calls for calls in self._young)) for call in self._reading
        ):
            return None
        return min(waiting)

    def _begin(self, turn: asyncio.Future[None], call: Arriving) -> None:
        if not turn.done():  # its caller may be gone
            self._reading[call] = None
            call.began = asyncio.get_running_loop().time()
            self._unfinished.begin(call)
            self._young[-1].add(call)
            turn.set_result(None)

    def _room(self, messages: int) -> bool:
        return self._bytes + messages * _COPIES * self._message_bytes <= self._total_bytes

    def _holding(self) -> list[Arriving]:
        """Reads that hold something, oldest first."""
        return [call for call in self._reading if call.holds > self._small and call.ends and not call.stopped]

    async def _measure(self) -> None:
        """Measure while messages are being received: first after a pause, in which most arrive."""
        self._base = self._before = 0
        await asyncio.sleep(_TICK_SECONDS)
        while self._reading or self._waiting:
            began = time.thread_time()  # while others have the core, nothing is spent
            in_use, unfinished = self._heap.in_use(), self._unfinished.look()
            took = time.thread_time() - began
            # The rest of the heap's growth belongs to pictures in flight and answers. gRPC frees a little after a read.
            self._base = max(min(self._base, in_use), in_use - max(unfinished, self._before))
            self._before = unfinished
            self._bytes = in_use - self._base
            self._metrics.arriving_bytes.set(self._bytes // _MIB * _MIB)
            self._make_room()
            self._young.append(set())
            self._let_in()
            await asyncio.sleep(max(_TICK_SECONDS, _COST * took))
            if self._taken > _TRIM_BYTES and not self._holding() and (not self._trimming or self._trimming.done()):
                self._trimming = asyncio.create_task(self._trim())
        self._bytes = 0
        self._metrics.arriving_bytes.set(0)

    async def _trim(self) -> None:
        await asyncio.sleep(_SETTLED_SECONDS)  # gRPC frees its copy a little later than we drop ours
        self._taken = 0
        await asyncio.to_thread(self._heap.trim)

    def _make_room(self) -> None:
        """Stop reads of the group that holds most, oldest first; the next measurement shows what gRPC freed."""
        holding = self._holding()
        if not holding:
            return
        groups: Counter[str] = Counter()
        for call in holding:
            groups[call.caller.group] += call.holds
        (worst, most), *_ = groups.most_common(1)
        oldest = [call for call in holding if call.caller.group == worst]
        now = asyncio.get_running_loop().time()
        if self._bytes > self._total_bytes:
            stopped = oldest[: (len(oldest) + 1) // 2]
        elif (
            self._waiting
            and not self._room(1)
            and (
                groups[self._waiting[0][-1].caller.group] + self._message_bytes < most
                or now - oldest[0].began > _PATIENCE_SECONDS
            )
        ):
            stopped = oldest[:1]
        else:
            return
        for call in stopped:
            call.stopped = True
            if call.ends:
                call.ends.reschedule(now)
