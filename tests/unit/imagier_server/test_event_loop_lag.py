# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio

from imagier_server import event_loop_lag
from imagier_server.metrics import Metrics


async def test_it_measures_until_cancelled() -> None:
    metrics = Metrics()
    watch = asyncio.create_task(event_loop_lag.watch(metrics))
    async with asyncio.timeout(60):
        while not metrics.registry.get_sample_value("imagier_event_loop_lag_seconds_count"):  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert metrics.registry.get_sample_value("imagier_event_loop_tasks") == 2
    watch.cancel()
