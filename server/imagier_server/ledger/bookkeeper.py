# SPDX-License-Identifier: Apache-2.0
"""Takes reservations and settlements from the event loop to the ledger, in one thread, as many as there are in one transaction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from sqlalchemy import update

from imagier_server.errors import ImagierError, LedgerUnavailableError
from imagier_server.ledger.booking import Ask, Reservation, Settlement, post
from imagier_server.ledger.database import Database
from imagier_server.ledger.schema import key_changes
from imagier_server.logs import log
from imagier_server.metrics import Metrics

_MOST = 512  # in one transaction
_PACE_SECONDS = 0.004
"""Between the beginnings of two transactions, so that under load each takes many along."""
_SWEEP_SECONDS = 20.0
_RETRY_SECONDS = 0.25, 5.0
_PATIENCE_SECONDS = 5.0
"""How long new work waits for the ledger."""
_ANSWER_SECONDS = 2.0
"""How long an answer waits for its charge to be in the ledger. The charge is not lost then: it is entered later."""
_GOODBYE_SECONDS = 5.0

_NO_CHANGE = tuple(update(key_changes).values(number=key_changes.c.number + by) for by in (1, -1))
"""In one transaction. SQLite writes nothing for a row that is set to what it is."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    done: asyncio.Future[Result]


class Bookkeeper:
    """The way to one ledger. Use it within `open`."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(1, "ledger")
        # Each belongs to admitted work, so both are bounded by the work in flight.
        self._asks: list[_Waiting[Ask, Reservation]] = []
        self._settlements: list[_Waiting[Settlement, None]] = []
        self._something = asyncio.Event()
        self._away = False
        self._closing = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Work until the end of the block, and then enter what is left."""
        self._metrics.ledger_up.set(1)
        working = asyncio.create_task(self._work())
        try:
            yield self
        finally:
            self._closing = True
            self._something.set()
            await asyncio.wait([working], timeout=_GOODBYE_SECONDS)
            working.cancel()
            await asyncio.wait([working])
            if self._settlements:
                log(logging.ERROR, "charges lost: the ledger is away", pictures=len(self._settlements))
            self._threads.shutdown(wait=False)

    async def reserve(self, ask: Ask) -> Reservation:
        """Reserve credits. Raises `UnpaidError`, `CreditsReservedError`, `LedgerUnavailableError`."""
        if self._away or self._closing:
            raise LedgerUnavailableError
        waiting: _Waiting[Ask, Reservation] = _Waiting(ask, asyncio.get_running_loop().create_future())
        self._asks.append(waiting)
        self._something.set()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await asyncio.shield(waiting.done)
        except TimeoutError:
            waiting.done.add_done_callback(self._give_back)
            raise LedgerUnavailableError from None
        except asyncio.CancelledError:
            waiting.done.add_done_callback(self._give_back)
            raise

    async def settle(self, reservation: Reservation, charges: Mapping[str, int]) -> None:
        """Charge for the tasks that succeeded, and give back the rest. Whatever happens, it is done once.

        Returns when the charge is in the ledger, or without it if the ledger is away: then it is entered later.
        """
        if not charges and not reservation.amount:
            return
        waiting: _Waiting[Settlement, None] = _Waiting(
            Settlement(reservation, charges), asyncio.get_running_loop().create_future()
        )
        self._settlements.append(waiting)
        self._something.set()
        if charges and not self._away:
            with suppress(TimeoutError):
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await asyncio.shield(waiting.done)

    def _give_back(self, done: asyncio.Future[Reservation]) -> None:
        """Release what was reserved for work that does not wait for it any more."""
        if not done.cancelled() and not done.exception() and done.result().amount:
            settlement = Settlement(done.result(), {})
            self._settlements.append(_Waiting(settlement, asyncio.get_running_loop().create_future()))
            self._something.set()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        retry, swept = _RETRY_SECONDS[0], loop.time()
        while not self._closing or self._settlements:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(swept + _SWEEP_SECONDS if not self._away else loop.time()):
                    await self._something.wait()
            self._something.clear()
            began = loop.time()
            sweep = began - swept >= _SWEEP_SECONDS
            if not await self._enter(sweep=sweep):
                await asyncio.sleep(retry)
                retry = min(2 * retry, _RETRY_SECONDS[1])
                continue
            retry = _RETRY_SECONDS[0]
            swept = began if sweep else swept
            if self._asks or self._settlements:
                self._something.set()
            await asyncio.sleep(max(0.0, began + _PACE_SECONDS - loop.time()))

    async def _enter(self, *, sweep: bool) -> bool:
        """One transaction; return whether it succeeded."""
        asks, self._asks = self._asks[:_MOST], self._asks[_MOST:]
        settlements, self._settlements = self._settlements[:_MOST], self._settlements[_MOST:]
        try:
            made = await asyncio.get_running_loop().run_in_executor(
                self._threads,
                self._post,
                [each.item for each in asks],
                [each.item for each in settlements],
                sweep,
            )
        except BaseException as error:
            self._failed(asks, settlements, error)
            if not isinstance(error, Exception):
                raise
            return False
        if self._away:
            log(logging.INFO, "the ledger is back")
        self._away = False
        self._metrics.ledger_up.set(1)
        for ask, reservation in zip(asks, made, strict=True):
            _resolve(ask.done, reservation)
        for settlement in settlements:
            _resolve(settlement.done, None)
        self._metrics.ledger_unsettled.set(len(self._settlements))
        return True

    def _failed(
        self,
        asks: Sequence[_Waiting[Ask, Reservation]],
        settlements: Sequence[_Waiting[Settlement, None]],
        error: BaseException,
    ) -> None:
        """Refuse new work, and keep the charges. Those that may have been entered all the same are entered once only."""
        if not self._away:
            log(logging.ERROR, "the ledger is away", error=type(error).__name__)
        self._away = True
        self._metrics.ledger_up.set(0)
        for ask in (*asks, *self._asks):
            _resolve(ask.done, LedgerUnavailableError())
        self._asks = []
        for settlement in settlements:
            _resolve(settlement.done, None)
        self._settlements = [*settlements, *self._settlements]
        self._metrics.ledger_unsettled.set(len(self._settlements))

    def _post(
        self, asks: Sequence[Ask], settlements: Sequence[Settlement], sweep: bool
    ) -> list[Reservation | ImagierError]:
        with self._database.writing() as connection:
            if self._away:
                # A full disk commits what writes nothing: only a write shows that the ledger is back.
                for write in _NO_CHANGE:
                    connection.execute(write)
            return post(connection, asks, settlements, sweep=sweep)


def _resolve(done: asyncio.Future[Result], result: Result | ImagierError) -> None:
    if done.done():
        return
    if isinstance(result, ImagierError):
        done.set_exception(result)
        done.exception()  # nobody may be waiting any more
    else:
        done.set_result(result)
