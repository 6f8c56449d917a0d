# SPDX-License-Identifier: Apache-2.0
"""Measures one way of running a model, on the embedded Triton with that model alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from imagier_server import embedded
from imagier_server.cores import usable_cores
from imagier_server.embedded import EmbeddedError
from imagier_server.errors import ImagierError
from imagier_server.golden import Asked
from imagier_server.metrics import Metrics
from imagier_server.overlay import Way, with_way
from imagier_server.triton import TritonEngine
from imagier_server.tuning.choice import Figures
from imagier_server.tuning.workload import a_call
from imagier_server.warm_up import read_warm_up

IN_FLIGHT: Final = 8
"""Requests at once, or two for each core if those are more: what a busy server has."""
PASSES: Final = 50


async def measure(repository: Path, model: str, way: Way, asked: Sequence[Asked], seconds: float) -> Figures:
    """The figures of a way. It is at fault if Triton does not load it, or it fails or answers otherwise than installed."""
    config = repository / model / "config.pbtxt"
    text = read_warm_up(config, with_way(config.read_text("utf-8"), way)).quick_config
    try:
        async with embedded.start(repository, models=[model], configs={model: text}) as triton:
            engine = TritonEngine(triton.grpc_address, {}, Metrics())
            try:
                return await _figures(engine, model, way, asked, seconds)
            finally:
                await engine.close()
    except EmbeddedError:
        return Figures(way, fault="does not load")
    except ImagierError:
        return Figures(way, fault="fails")


async def _figures(engine: TritonEngine, model: str, way: Way, asked: Sequence[Asked], seconds: float) -> Figures:
    # Each instance has to see each shape once.
    for _ in range(way.instances):
        answers = [await engine.infer(model, each.inputs, a_call()) for each in asked]
    if not all(each.agrees(answer) for each, answer in zip(asked, answers, strict=True)):
        return Figures(way, fault="answers otherwise")
    first = await _seconds(engine, model, asked, 1, 1)
    passes = max(1, min(PASSES, round(seconds / first)))
    alone = await _seconds(engine, model, asked, passes, 1)
    together = await _seconds(engine, model, asked, 2 * passes, max(IN_FLIGHT, 2 * usable_cores()))
    return Figures(way, alone / passes / len(asked) * 1e3, 2 * passes * len(asked) / together)


async def _seconds(engine: TritonEngine, model: str, asked: Sequence[Asked], passes: int, in_flight: int) -> float:
    """The time for all requests so many times, with so many in flight."""
    waiting = iter([each.inputs for each in asked] * passes)

    async def work() -> None:
        for inputs in waiting:
            await engine.infer(model, inputs, a_call())

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(work())
    return time.perf_counter() - began
