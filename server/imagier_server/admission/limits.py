# SPDX-License-Identifier: Apache-2.0
"""Bounds pictures in flight by count and bytes: in all, per caller and per key.

A call is refused, a stream stops reading, a batch's call waits for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from imagier_server.admission.admission import Receipt, Work
from imagier_server.admission.callers import Shares
from imagier_server.admission.draining import Draining
from imagier_server.admission.holdings import NO_LIMIT, Holder, Holdings
from imagier_server.admission.pace import Pace
from imagier_server.call import ANYBODY, CallContext, Caller, Lane
from imagier_server.errors import Full, ImagierError, OverloadedError, Quota, QuotaError
from imagier_server.metrics import Metrics
from imagier_server.turns import Turns

_OF_KEY = {
    Quota.KEY_IN_FLIGHT: "this key has as many pictures in flight as it may",
    Quota.KEY_IN_FLIGHT_BYTES: "this key has as many bytes of pictures in flight as it may",
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """A picture file of `size` bytes that asks for a place."""

    size: int
    caller: Caller
    holder: Holder


@dataclass(frozen=True, slots=True)
class Demand:
    """What decides beside the server's own capacity: the limits of keys, the cost of work and the pace of its end."""

    holdings: Holdings = field(default_factory=Holdings)
    pace: Pace = field(default_factory=Pace)
    cost: Callable[[Collection[str]], float] = lambda _: 1.0


class Limits:
    """The capacity of one server: at most `pictures` pictures with files of at most `total_bytes`.

    `connected` returns whether a caller's connection is still open.
    """

    def __init__(
        self,
        pictures: int,
        total_bytes: int,
        draining: Draining,
        metrics: Metrics,
        connected: Callable[[str], bool] = lambda _: True,
        demand: Demand | None = None,
    ) -> None:
        self._pictures = pictures
        self._demand = demand or Demand()
        self._shares = (Shares(pictures, connected), Shares(total_bytes, connected))
        # Kept from streams for unary calls, which would all be refused otherwise.
        self._kept_pictures = min(pictures - 1, max(1, pictures // 8))
        self._kept_bytes = total_bytes // 8
        self._total_bytes = total_bytes
        self._draining = draining
        self._metrics = metrics
        self._count = 0
        self._bytes = 0
        self._waiting_bytes = 0
        # At most one for each stream or place of a batch's call, so bounded by the connections and by those places.
        self._turns: Turns[tuple[_Asked, asyncio.Future[None]]] = Turns()
        metrics.in_flight_limit.set(pictures)
        metrics.in_flight_bytes_limit.set(total_bytes)

    @asynccontextmanager
    async def stage(self, work: Work, call: CallContext, _receipt: Receipt) -> AsyncIterator[None]:
        """The stage of admission: `enter` for a call, `wait` for a picture of a stream or batch. Raises what they do."""
        holder = self._demand.holdings.of(call)
        if call.lane is Lane.INTERACTIVE:
            place = self.enter(work.size, call.caller, holder)
        else:
            place = await self._wait_for_call(work, call, holder)
        with place:
            yield

    def knock(self, call: CallContext) -> None:
        """Refuse a call before its picture is read, if there is room for none. Raises `OverloadedError`."""
        if self._draining.begun:  # which is another error, of a later stage
            return
        if self._count >= self._pictures:
            raise self._refused(call.caller, Full.PICTURES)
        if not self._shares[0].fits(call.caller, 1):
            raise self._refused(call.caller, Full.CALLER)

    def enter(self, size: int, caller: Caller = ANYBODY, holder: Holder = NO_LIMIT) -> Permit:
        """Take a permit for a picture file of `size` bytes. Raises `OverloadedError` or `QuotaError` at once."""
        asked = _Asked(size, caller, holder)
        if full := self._full(asked):
            raise self._refused(caller, full)
        return self._permit(asked)

    async def wait(self, size: int, caller: Caller = ANYBODY, holder: Holder = NO_LIMIT, cost: float = 1.0) -> Permit:
        """Wait for a permit, leaving capacity for unary calls: for streams, which can stop reading. Raises `DrainingError`.

        Raises `OverloadedError` if too many bytes of pictures wait, because they are held in memory. Groups of callers get
        permits in equal measure of `cost`, which is relative to a typical picture's.
        """
        asked = _Asked(size, caller, holder)
        async with self._draining.interruptible():
            if self._waiting_bytes and self._waiting_bytes + size > self._total_bytes // 4 and not self._room(asked):
                raise self._refused(caller, Full.BYTES)
            granted = asyncio.get_running_loop().create_future()
            turn = self._turns.add(caller.group, (asked, granted), cost)
            self._waiting_bytes += size
            self._wait(caller, 1)
            self._let_in()
            try:
                if not granted.done():
                    with self._metrics.waiting_streams.track_inprogress():
                        await granted
            except asyncio.CancelledError:
                if granted.done() and not granted.cancelled():
                    self.leave(asked)
                raise
            finally:
                self._waiting_bytes -= size
                self._wait(caller, -1)
                self._turns.leave(turn)
        return Permit(self, asked)

    async def _wait_for_call(self, work: Work, call: CallContext, holder: Holder) -> Permit:
        """`wait`, but no longer than the call may. Raises `OverloadedError` or `QuotaError`, too."""
        try:
            async with asyncio.timeout_at(call.waits_until):
                return await self.wait(work.size, call.caller, holder, self._demand.cost(work.tasks))
        except TimeoutError:
            full = self._full(_Asked(work.size, call.caller, holder))
            raise self._refused(call.caller, full or Full.PICTURES) from None

    def leave(self, asked: _Asked) -> None:
        """Release the capacity of a file; called by `Permit`."""
        self._change(-1, asked)
        self._let_in()

    def _full(self, asked: _Asked) -> Full | Quota | None:
        """What leaves no room for a call's picture."""
        if quota := self._demand.holdings.full(asked.holder, asked.size):
            return quota
        if not self._fits(asked.size):
            return Full.PICTURES if self._count >= self._pictures else Full.BYTES
        return None if self._shared(asked) else Full.CALLER

    def _refused(self, caller: Caller, limit: Full | Quota) -> ImagierError:
        after = self._demand.pace.turn(caller.group)
        if isinstance(limit, Quota):
            return QuotaError(f"{_OF_KEY[limit]}: wait for an answer", limit, retry_after=after)
        text = (
            "too many of this caller's pictures are in flight"
            if limit is Full.CALLER
            else "too many pictures are in flight"
        )
        return OverloadedError(text, limit, retry_after=after)

    def _let_in(self) -> None:
        """Grant permits to streams while there is room for one."""
        while self._count < self._pictures - self._kept_pictures and self._next():
            pass

    def _next(self) -> bool:
        for group in self._turns:
            if not self._shares[0].group_fits(group[0].group, 1):
                continue
            for turn in group:
                asked, granted = turn.item
                if not granted.done() and self._room(asked):
                    self._turns.take(turn)
                    self._change(1, asked)
                    granted.set_result(None)
                    return True
        return False

    def _room(self, asked: _Asked) -> bool:
        """Whether a stream's picture fits, with what is kept for calls."""
        return (
            self._fits(asked.size, self._kept_pictures, self._kept_bytes)
            and not self._demand.holdings.full(asked.holder, asked.size)
            and self._shared(asked, keep=True)
        )

    def _fits(self, size: int, kept_pictures: int = 0, kept_bytes: int = 0) -> bool:
        room = max(self._total_bytes - kept_bytes, size)  # a file larger than the capacity is admitted alone
        return self._count < self._pictures - kept_pictures and self._bytes + size <= room

    def _shared(self, asked: _Asked, *, keep: bool = False) -> bool:
        pictures, total_bytes = self._shares
        return pictures.fits(asked.caller, 1, keep=keep) and total_bytes.fits(asked.caller, asked.size, keep=keep)

    def _wait(self, caller: Caller, pictures: int) -> None:
        for share in self._shares:
            share.wait(caller, pictures)

    def _permit(self, asked: _Asked) -> Permit:
        self._change(1, asked)
        return Permit(self, asked)

    def _change(self, pictures: int, asked: _Asked) -> None:
        size = pictures * asked.size
        if pictures > 0:
            self._demand.pace.begin()
        else:
            self._demand.pace.end()
        self._count += pictures
        self._bytes += size
        for share, more in zip(self._shares, (pictures, size), strict=True):
            share.change(asked.caller, more)
        self._demand.holdings.change(asked.holder, pictures, size)
        self._metrics.in_flight.set(self._count)
        self._metrics.in_flight_bytes.set(self._bytes)


class Permit:
    """Capacity held for one picture: a context manager; releasing it twice is harmless."""

    __slots__ = ("_asked", "_limits")

    def __init__(self, limits: Limits, asked: _Asked) -> None:
        self._limits: Limits | None = limits
        self._asked = asked

    def leave(self) -> None:
        """Release the permit."""
        if self._limits is not None:
            limits, self._limits = self._limits, None
            limits.leave(self._asked)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()
