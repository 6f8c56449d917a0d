# SPDX-License-Identifier: Apache-2.0
"""Takes tickets in, works on them in the bulk lane, and keeps their sealed results until they are collected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Protocol, Self

from imagier_server.admission.admission import Admission
from imagier_server.admission.draining import Draining
from imagier_server.errors import DrainingError, ImagierError, InternalError
from imagier_server.logs import logger
from imagier_server.messages import TaskOutcome
from imagier_server.metrics import Metrics
from imagier_server.pipeline import Pipeline
from imagier_server.tickets.places import Place, Places
from imagier_server.tickets.ticket import Answer, Ticket

LONGEST_SECONDS = 3 * 3600.0
"""From the moment that a ticket is taken in until its picture has been read. Its credits stay reserved for so long."""
_MOST_TRIES = 10
_LONGEST_PAUSE = 60.0
_DELIVERIES = 2
"""Results on their way to callbacks at a time, for each tenant."""
_DELIVERY_SECONDS = 600.0
"""For so long a result is kept from those who poll because it is, or waits to be, on its way to a callback."""


class Kept(Protocol):
    """A ticket that has ended; `sealed` is None if it was lost."""

    @property
    def id(self) -> str: ...
    @property
    def sealed(self) -> bytes | None: ...


class Book(Protocol):
    """Where tickets are written down. Raises `LedgerUnavailableError`."""

    async def enter(self, ticket: str, key_id: str, reservation: str) -> None: ...
    async def finish(self, ticket: str, sealed: bytes, held: float = 0) -> bool: ...
    async def lose(self, which: Sequence[str]) -> None: ...
    async def drop(self, ticket: str) -> None: ...
    async def collect(self, key_id: str) -> Sequence[Kept]: ...
    async def look(self, key_id: str, wanted: Sequence[str]) -> tuple[Sequence[Kept], set[str]]: ...
    async def release(self, ticket: str) -> None: ...
    async def wipe(self, key_id: str, which: Sequence[str]) -> None: ...


class _Turns:
    """At most `most` at a time for each tenant, in the order of their coming."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._of: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def turn(self, group: str) -> AsyncIterator[None]:
        turns, users = self._of.get(group, (asyncio.Semaphore(self._most), 0))
        self._of[group] = turns, users + 1
        try:
            async with turns:
                yield
        finally:
            turns, users = self._of[group]
            if users == 1:
                del self._of[group]
            else:
                self._of[group] = turns, users - 1


@dataclass(frozen=True, slots=True)
class Doors:
    """What a ticket passes: `entrance` (keys, credits, quotas) holds until it ends, the pipeline's admission while it is read."""

    entrance: Admission
    pipeline: Pipeline
    draining: Draining


class Desk:
    """The tickets of one gateway. `at_once`: pictures of one tenant being read at a time. Use it within `open`."""

    def __init__(self, doors: Doors, book: Book, places: Places, at_once: int, metrics: Metrics) -> None:
        self._doors = doors
        self.book = book
        self._places = places
        self._turns = _Turns(at_once)
        self._deliveries = _Turns(_DELIVERIES)
        self._metrics = metrics
        self._running: set[asyncio.Task[None]] = set()
        for end in ("answered", "failed", "lost"):
            metrics.tickets.labels(end)
        for outcome in ("delivered", "failed"):
            metrics.ticket_callbacks.labels(outcome)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Work until the end of the block. What is open then is lost, and its credits are given back."""
        try:
            yield self
        finally:
            for task in self._running:
                task.cancel()
            if self._running:
                await asyncio.wait(self._running)

    async def submit(self, ticket: Ticket) -> None:
        """Take a ticket in: when this returns, it is in the book, and its credits are reserved. Raises `ImagierError`."""
        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._run(ticket, taken))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            await asyncio.shield(taken)
        except asyncio.CancelledError:
            task.cancel()
            raise

    async def _run(self, ticket: Ticket, taken: asyncio.Future[None]) -> None:
        try:
            with self._places.taken(ticket.call.caller, len(ticket.request.image)) as place:
                document = await self._work(ticket, place, taken)
                if document is not None and ticket.deliver:
                    await self._delivered(ticket, document, ticket.deliver)
        except ImagierError as error:
            if not taken.done():
                taken.set_exception(error.without_traceback())
        except asyncio.CancelledError:
            taken.cancel()
            raise
        except Exception:
            logger.exception("ticket failed")
            if not taken.done():
                taken.set_exception(InternalError())
        finally:
            ticket.let_go()
            if taken.done() and not taken.cancelled():
                taken.exception()  # whoever waited may have left

    async def _work(self, ticket: Ticket, place: Place, taken: asyncio.Future[None]) -> bytes | None:
        """Return the document if it is kept."""
        key_id = ticket.call.identity.key_id if ticket.call.identity else ""
        async with self._doors.entrance.admit(ticket.request, ticket.call) as receipt:
            try:
                await self.book.enter(ticket.id, key_id, receipt.reservation)
                taken.set_result(None)
                answer = await self._answer(ticket)
                ticket.let_go()
                place.let_go()
                document = ticket.write(ticket.id, answer)
                sealed = ticket.seal.close(ticket.id, document)
                kept = await self.book.finish(ticket.id, sealed, _DELIVERY_SECONDS if ticket.deliver else 0)
            except BaseException:
                await self._abandon(ticket, told=taken.done() and not taken.cancelled())
                raise
            if kept:
                # Not before: a result that nobody can collect is not charged.
                receipt.outcomes = answer.outcomes
            self._metrics.tickets.labels(_end(answer) if kept else "lost").inc()
        return document if kept else None

    async def _abandon(self, ticket: Ticket, *, told: bool) -> None:
        with suppress(ImagierError):
            await (self.book.lose([ticket.id]) if told else self.book.drop(ticket.id))
        if told:
            self._metrics.tickets.labels("lost").inc()

    async def _answer(self, ticket: Ticket) -> Answer:
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with AsyncExitStack() as stack:
                async with self._doors.draining.interruptible():
                    await stack.enter_async_context(self._turns.turn(ticket.call.caller.group))
                began = clock()
                outcomes = await self._tried(ticket)
        except ImagierError as error:
            outcomes = _failed(ticket.request.tasks, error)
        return Answer(outcomes, clock() - began)

    async def _tried(self, ticket: Ticket) -> dict[str, TaskOutcome]:
        """Read the picture; try again what may succeed later, such as what a full server refuses."""
        outcomes: dict[str, TaskOutcome] = {}
        request = ticket.request
        for number in range(1, 1 + _MOST_TRIES):
            try:
                if ticket.fetch and not request.image:
                    request = replace(request, image=await ticket.fetch(ticket.call))
                outcomes |= (await self._doors.pipeline.annotate(request, ticket.call)).outcomes
            except ImagierError as error:
                outcomes |= _failed(request.tasks, error)
            again = {
                name: each.error.retry_after
                for name, each in outcomes.items()
                if each.error and each.error.retry_after is not None
            }
            pause = min(max(again.values(), default=0.0), _LONGEST_PAUSE)
            if not again or number == _MOST_TRIES or pause > ticket.call.seconds_left:
                break
            try:
                async with self._doors.draining.interruptible():
                    await asyncio.sleep(pause)
            except DrainingError:
                break
            request = replace(request, tasks={name: request.tasks[name] for name in again})
        return outcomes

    async def _delivered(self, ticket: Ticket, document: bytes, deliver: Callable[[bytes], Awaitable[bool]]) -> None:
        """Send the result to the callback; if it does not arrive, it is left for polling."""
        key_id = ticket.call.identity.key_id if ticket.call.identity else ""
        arrived = False
        try:
            async with asyncio.timeout(_DELIVERY_SECONDS / 2), self._deliveries.turn(ticket.call.caller.group):
                arrived = await deliver(document)
        except TimeoutError:
            pass
        finally:
            self._metrics.ticket_callbacks.labels("delivered" if arrived else "failed").inc()
            await (self.book.wipe(key_id, [ticket.id]) if arrived else self.book.release(ticket.id))


def _failed(tasks: Iterable[str], error: ImagierError) -> dict[str, TaskOutcome]:
    return dict.fromkeys(tasks, TaskOutcome((), error=error.without_traceback()))


def _end(answer: Answer) -> str:
    return "answered" if any(outcome.error is None for outcome in answer.outcomes.values()) else "failed"
