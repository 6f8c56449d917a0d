# SPDX-License-Identifier: Apache-2.0
"""Measures how late the event loop runs what is due, and how many tasks it has."""

from __future__ import annotations

import asyncio

from imagier_server.metrics import Metrics

_INTERVAL = 0.25


async def watch(metrics: Metrics) -> None:
    """Measure until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _INTERVAL
        await asyncio.sleep(_INTERVAL)
        metrics.event_loop_tasks.set(len(asyncio.all_tasks()))
        metrics.event_loop_lag.observe(max(0.0, loop.time() - due))
