# SPDX-License-Identifier: Apache-2.0
"""Scripted Tritons at addresses of their own, and the engines before them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

import numpy as np
from imagier_server.engines.budget import RetryBudget
from imagier_server.engines.pool import Engines
from imagier_server.metrics import Metrics
from imagier_server.triton import TritonEngine

from support.calls import call
from support.fake_triton import FakeTriton, locked, response, serving

MODELS = {"tagger": locked("tagger")}


PIXELS = {"pixels": np.zeros((1, 2, 2, 3), np.uint8)}


class Cluster:
    """Scripted Tritons that all listen on one port, each at an address of its own (127.0.0.N), and the engines before them."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.fakes: dict[int, FakeTriton] = {}
        self.metrics = Metrics()
        self._servers: dict[int, AsyncExitStack] = {}
        self.engines = Engines(MODELS, self._connect, RetryBudget(20, 100), self.metrics)

    def _connect(self, address: str) -> TritonEngine:
        return TritonEngine(address, MODELS, self.metrics)

    async def start(self, *numbers: int) -> None:
        for number in numbers:
            fake = self.fakes.setdefault(number, FakeTriton(dict(MODELS), {"tagger"}))
            self._servers[number] = AsyncExitStack()
            await self._servers[number].enter_async_context(serving(fake, self.port, f"127.0.0.{number}"))

    async def stop(self, number: int) -> None:
        await self._servers.pop(number).aclose()

    def use(self, *numbers: int) -> None:
        self.engines.set_addresses([f"127.0.0.{number}:{self.port}" for number in numbers])

    async def up(self, count: int) -> None:
        async with asyncio.timeout(20):
            while self.value("engines_up") != count:
                self.engines._changed.clear()
                await self.engines._changed.wait()

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"imagier_{name}", labels) or 0.0

    def series(self, number: int) -> list[str]:
        """The names of the series that Triton has of its own."""
        address = f"127.0.0.{number}:{self.port}"
        families = self.metrics.registry.collect()
        return [each.name for family in families for each in family.samples if each.labels.get("engine") == address]

    async def infer(self, seconds: float = 10.0) -> None:
        await self.engines.infer("tagger", PIXELS, call(seconds=seconds))

    async def load(self, requests: int) -> None:
        """That many at once; the first failure is the caller's."""
        await asyncio.gather(*(self.infer() for _ in range(requests)))

    @property
    def taken(self) -> dict[int, int]:
        return {number: len(fake.requests) for number, fake in self.fakes.items()}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.engines.__aexit__()
        for number in tuple(self._servers):
            await self.stop(number)


@asynccontextmanager
async def under_load(cluster: Cluster, workers: int = 8) -> AsyncIterator[None]:
    """Requests without a pause, for the time of the `async with`; the first that fails ends the test."""
    over = False

    async def work() -> None:
        while not over:
            await cluster.infer()

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
        yield
        over = True


async def some(cluster: Cluster, requests: int = 30) -> None:
    """Returns when that many more have arrived."""
    target = sum(cluster.taken.values()) + requests
    async with asyncio.timeout(20):
        while sum(cluster.taken.values()) < target:  # noqa: ASYNC110 - the fakes count, they do not tell
            await asyncio.sleep(0)


def holding(arrived: asyncio.Semaphore, release: asyncio.Event) -> Any:
    async def behaviour(request: Any, context: Any) -> Any:
        arrived.release()
        await release.wait()
        return response(scores=np.full((1, 1000), 0.001, np.float32))

    return behaviour
