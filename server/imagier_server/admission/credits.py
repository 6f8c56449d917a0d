# SPDX-License-Identifier: Apache-2.0
"""Reserves the price of the tasks asked for, charges for those that succeeded, and gives back the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from math import isinf
from typing import Protocol

from imagier_server.admission.admission import Receipt, Stage, Work
from imagier_server.call import CallContext, Lane

_MARGIN_SECONDS = 60.0
"""How long credits stay reserved beyond the deadline of the work."""


class Settled(Protocol):
    """A reservation to be settled, once. `id` is its name in the ledger."""

    @property
    def id(self) -> str: ...

    async def settle(self, charges: Mapping[str, int]) -> None:
        """Charge the credits of each task that succeeded; the rest is given back. Never raises."""
        ...


class Purse(Protocol):
    """The credits of all tenants."""

    async def reserve(self, prices: Mapping[str, int], seconds: float, call: CallContext) -> Settled:
        """Reserve the price of each task for at most `seconds`.

        Raises `UnpaidError`, `CreditsReservedError`, `LedgerUnavailableError`.
        """
        ...


def charged(purse: Purse, price: Callable[[str], int], seconds: Mapping[Lane, float]) -> Stage:
    """The stage that charges keys. `price` in credits by task; `seconds`: the deadline of work that has none, by lane."""

    @asynccontextmanager
    async def stage(work: Work, call: CallContext, receipt: Receipt) -> AsyncIterator[None]:
        if call.identity is None or not work.tasks:
            yield
            return
        left = seconds[call.lane] if isinf(call.deadline) else call.seconds_left
        reservation = await purse.reserve({task: price(task) for task in work.tasks}, left + _MARGIN_SECONDS, call)
        receipt.reservation = reservation.id
        try:
            yield
        finally:
            await reservation.settle({task: receipt.outcomes[task].cost for task in receipt.succeeded})

    return stage
