# SPDX-License-Identifier: Apache-2.0
"""Scripted engines, and the engines as one before them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import numpy as np
from imagier_server.call import CallContext
from imagier_server.engines.budget import RetryBudget
from imagier_server.engines.pool import Engines
from imagier_server.errors import (
    EngineUnavailableError,
    ImagierError,
    InternalError,
)
from imagier_server.messages import Tensors
from imagier_server.metrics import Metrics

from support.calls import call

GONE = EngineUnavailableError("the inference engine does not answer")


READY = {"tagger": True, "other": True}


class Scripted:
    """One engine. `ready` is what a health check finds, or why there is no answer; `fault` is what an inference raises."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.ready: Mapping[str, bool] | None = READY
        self.fault: ImagierError | None = None
        self.release: asyncio.Event | None = None
        self.requests: list[float] = []
        self.arrived = asyncio.Event()
        self.checks = 0
        self.closed = asyncio.Event()

    async def infer(self, model: str, inputs: Tensors, call: CallContext) -> Tensors:
        self.requests.append(call.seconds_left)
        self.arrived.set()
        if self.release:
            waiting = {asyncio.create_task(each.wait()) for each in (self.release, self.closed)}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for each in waiting:
                each.cancel()
        if self.closed.is_set():
            raise GONE
        if self.fault:
            raise self.fault
        return {"from": np.array([int(self.address)])}

    async def check(self) -> Mapping[str, bool]:
        self.checks += 1
        await asyncio.sleep(0)
        if self.ready is None:
            raise TimeoutError
        return self.ready

    async def close(self) -> None:
        self.closed.set()


class Bench:
    """Some engines, by their number."""

    def __init__(self, percent: int = 20) -> None:
        self.metrics = Metrics()
        self.made: dict[str, list[Scripted]] = {}
        self.engines = Engines(READY, self._connect, RetryBudget(percent, 4), self.metrics)

    def _connect(self, address: str) -> Scripted:
        self.made.setdefault(address, []).append(Scripted(address))
        return self.made[address][-1]

    def __getitem__(self, number: int) -> Scripted:
        return self.made[str(number)][-1]

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"imagier_{name}", labels) or 0.0

    async def infer(self, model: str = "tagger", seconds: float = 5.0) -> int:
        return int((await self.engines.infer(model, {}, call(seconds=seconds)))["from"][0])

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - what it waits for has no event
                await asyncio.sleep(0)

    async def checked(self, number: int) -> None:
        """Returns when a health check that began after this call has ended."""
        checks = self[number].checks
        await self.until(lambda: self[number].checks > checks + 1)

    async def fail(self, number: int, times: int) -> None:
        """Requests until that many have failed, all of them there; others may take twice as many."""
        errors, before = 0, len(self[number].requests)
        async with asyncio.timeout(10):
            for _ in range(3 * times):
                try:
                    await self.infer()
                except InternalError:
                    errors += 1
                if errors == times:
                    break
        assert len(self[number].requests) == before + errors == before + times

    async def up(self, count: int) -> None:
        await self.until(lambda: self.value("engines_up") == count)


@asynccontextmanager
async def bench(*numbers: int, percent: int = 20) -> AsyncIterator[Bench]:
    made = Bench(percent)
    async with made.engines:
        made.engines.set_addresses([str(number) for number in numbers])
        await made.up(len(numbers))
        yield made
