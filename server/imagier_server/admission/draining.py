# SPDX-License-Identifier: Apache-2.0
"""Drain: new work is refused, work in flight is answered, and the shutdown can wait for its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from imagier_server.admission.admission import Receipt, Work
from imagier_server.call import CallContext
from imagier_server.errors import DrainingError


class Draining:
    """The work in flight on all transports, and whether new work is accepted."""

    def __init__(self) -> None:
        self._begun = False
        self._under_way = 0
        self._ended = asyncio.Event()
        self._interrupted: set[asyncio.Timeout] = set()

    @property
    def begun(self) -> bool:
        """Whether new work is refused."""
        return self._begun

    def begin(self) -> None:
        """Start to drain: refuse new work and end every `interruptible` block."""
        self._begun = True
        for block in self._interrupted:
            block.reschedule(asyncio.get_running_loop().time())

    async def idle(self) -> None:
        """Wait until nothing is in flight."""
        while self._under_way:
            self._ended.clear()
            await self._ended.wait()

    @asynccontextmanager
    async def stage(self, _work: Work, _call: CallContext, _receipt: Receipt) -> AsyncIterator[None]:
        """The stage of admission: count the work, or refuse it while draining. Raises `DrainingError`."""
        if self._begun:
            raise _draining()
        with self.under_way():
            yield

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Count the block as work in flight."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._ended.set()

    @asynccontextmanager
    async def interruptible(self) -> AsyncIterator[None]:
        """A waiting block, which a drain interrupts. Raises `DrainingError`."""
        if self._begun:
            raise _draining()
        try:
            async with asyncio.timeout(None) as block:
                self._interrupted.add(block)
                try:
                    yield
                finally:
                    self._interrupted.discard(block)
        except TimeoutError:
            raise _draining() from None


def _draining() -> DrainingError:
    return DrainingError("the server is shutting down")
