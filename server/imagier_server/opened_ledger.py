# SPDX-License-Identifier: Apache-2.0
"""Opens the ledger that the settings name; its packages are an extra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from imagier_server.admission.admission import Stage
from imagier_server.admission.chain import Chain
from imagier_server.admission.credits import charged
from imagier_server.admission.draining import Draining
from imagier_server.call import Lane
from imagier_server.metrics import Metrics
from imagier_server.pipeline import Pipeline
from imagier_server.settings import Settings
from imagier_server.tickets.desk import Desk, Doors
from imagier_server.tickets.places import Places

if TYPE_CHECKING:
    from imagier_server.ledger.ledger import Ledger


async def open_ledger(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> Ledger | None:
    """Open the ledger until the stack is closed; None if the settings name none. Raises `OSError`, `ImportError`."""
    if not settings.ledger:
        return None
    try:
        from imagier_server.ledger.database import LedgerError  # noqa: PLC0415 - an extra that not all installations have
        from imagier_server.ledger.ledger import opened  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("a ledger is asked for: install imagier[ledger]") from error
    try:
        return await stack.enter_async_context(opened(settings.ledger, metrics))
    except LedgerError as error:
        raise OSError(str(error)) from error


async def ticket_desk(
    ledger: Ledger | None,
    pipeline: Pipeline,
    gate: Chain,
    draining: Draining,
    settings: Settings,
    stack: AsyncExitStack,
) -> Desk | None:
    """The desk of tickets until the stack is closed; None without a ledger, which keeps their results."""
    if ledger is None:
        return None
    doors = Doors(gate.entrance, replace(pipeline, admission=gate.reading), draining)
    places = Places(settings.tickets, settings.ticket_bytes, pipeline.metrics)
    desk = Desk(doors, ledger.tickets, places, settings.stream_in_flight, pipeline.metrics)
    return await stack.enter_async_context(desk.open())


def credit(ledger: Ledger | None, prices: Mapping[str, int], settings: Settings) -> Sequence[Stage]:
    """The stage that charges for work; none without a ledger."""
    seconds = {Lane.INTERACTIVE: settings.deadline_seconds, Lane.BULK: settings.stream_deadline_seconds}
    return (charged(ledger, prices.__getitem__, seconds),) if ledger else ()
