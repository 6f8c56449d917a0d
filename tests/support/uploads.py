# SPDX-License-Identifier: Apache-2.0
"""Uploads whose parts arrive when a test says so."""

from __future__ import annotations

import asyncio
from collections import Counter

from imagier_server.admission.callers import Shares
from imagier_server.admission.heap import Heap
from imagier_server.admission.receiving import Receiving
from imagier_server.admission.unfinished import Unfinished
from imagier_server.call import ANYBODY, Caller
from imagier_server.metrics import Metrics

MESSAGE = 1_000_000


EMPTY = 100 * MESSAGE


class MadeHeap(Heap):
    """What a test says is in use."""

    def __init__(self) -> None:
        self.used = EMPTY
        self.looks = self.trimmed = 0

    def in_use(self) -> int:
        self.looks += 1
        return self.used

    def trim(self) -> None:
        self.trimmed += 1


class Uploads:
    """Calls whose messages come when the test says so."""

    def __init__(self, calls: int = 100, total: int = 5 * MESSAGE) -> None:
        self.heap = MadeHeap()
        self.metrics = Metrics()
        self.came: Counter[str] = Counter()
        unfinished = Unfinished(MESSAGE, self.came.__getitem__)
        self.receiving = Receiving(Shares(calls), total, self.metrics, self.heap, unfinished)
        self.begun: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}

    def start(
        self,
        name: str,
        caller: Caller = ANYBODY,
        seconds: float | None = None,
        size: int = 0,
        small: bool = False,
    ) -> asyncio.Task[str]:
        end = self.ends[name] = asyncio.Event()

        async def read() -> bytes:
            self.begun.append(name)
            await end.wait()
            return name.encode().ljust(size)

        async def upload() -> str:
            with self.receiving.call(caller, small=small) as call:
                return (await self.receiving.read(call, read, seconds)).decode().strip()

        return asyncio.create_task(upload())

    def arrive(self, connection: str, size: int) -> None:
        self.came[connection] += size
        self.heap.used += size

    async def until(self, *names: str) -> None:
        async with asyncio.timeout(10):
            while self.begun != [*names]:
                assert len(self.begun) <= len(names), self.begun
                await asyncio.sleep(0)

    async def looks(self, number: int) -> None:
        """Until the heap has been looked at so often."""
        async with asyncio.timeout(10):
            number += self.heap.looks
            while self.heap.looks < number:  # noqa: ASYNC110
                await asyncio.sleep(0)

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"imagier_{name}", labels)


IDLE = Caller("somebody", "1")
