# SPDX-License-Identifier: Apache-2.0
"""Builds the chain of admission from the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from imagier_server.admission.admission import Admission, Stage, largest
from imagier_server.admission.batches import BATCH_CALLS, Batches
from imagier_server.admission.callers import Shares
from imagier_server.admission.draining import Draining
from imagier_server.admission.estimates import Estimates
from imagier_server.admission.holdings import Holdings
from imagier_server.admission.limits import Demand, Limits
from imagier_server.admission.pace import Pace
from imagier_server.admission.quota_store import quota_store
from imagier_server.admission.quotas import Quotas, Windows
from imagier_server.call import KeyLimits
from imagier_server.metrics import Metrics
from imagier_server.settings import Settings


@dataclass(frozen=True, slots=True)
class Chain:
    """The admission of one server, the pace of its work, and the places of batches' calls.

    Of a ticket `entrance` holds from beginning to end, `reading` while its picture is read; together they are all stages.
    """

    admission: Admission
    entrance: Admission
    reading: Admission
    pace: Pace
    batches: Batches


@asynccontextmanager
async def chain(
    settings: Settings,
    draining: Draining,
    metrics: Metrics,
    connected: Callable[[str], bool],
    *,
    scopes: Stage,
    credit: Sequence[Stage] = (),
) -> AsyncIterator[Chain]:
    """The stages of one server in order. `connected`: whether a caller's connection is open.

    `credit` is reserved for work that has passed all but the last: a quota's picture, which cannot be given back, is taken last.
    Raises ImportError for an extra that is not installed.
    """
    pace, estimates = Pace(), Estimates(settings.deadline_seconds)
    of_keys = KeyLimits(settings.quota_pictures, settings.quota_in_flight, settings.quota_in_flight_bytes)
    demand = Demand(Holdings(of_keys), pace, estimates.cost)
    limits = Limits(settings.in_flight, settings.in_flight_bytes, draining, metrics, connected, demand)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(quota_store(settings.quota_store)) if settings.quota_store else None
        quotas = Quotas(of_keys, settings.quota_total_pictures, Windows(metrics, store))
        size = largest(settings.max_image_bytes)
        before, reading, after = (
            (draining.stage, scopes, size),
            (limits.stage, estimates.stage),
            (*credit, quotas.stage),
        )
        places = Shares(BATCH_CALLS, connected)
        yield Chain(
            Admission((*before, *reading, *after), limits.knock),
            Admission((*before, *after)),
            Admission(reading),
            pace,
            Batches(places, settings.batch_wait_seconds, settings.deadline_seconds, metrics, pace),
        )
