# SPDX-License-Identifier: Apache-2.0
"""Bounds what is under way, by count and by bytes. Nothing waits here: a call is refused, a stream stops reading."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from imagier_server.errors import DrainingError, Full, ImageTooLargeError, OverloadedError
from imagier_server.metrics import Metrics


class Limits:
    """The room of one server: at most `pictures` pictures whose files hold at most `total_bytes`."""

    def __init__(self, pictures: int, total_bytes: int, image_bytes: int, metrics: Metrics) -> None:
        self._pictures = pictures
        # Of the room, that streams leave to callers who do not wait: else a few streams would have them all refused.
        self._kept_pictures = min(pictures - 1, max(1, pictures // 8))
        self._kept_bytes = total_bytes // 8
        self._total_bytes = total_bytes
        self._image_bytes = image_bytes
        self._metrics = metrics
        self._count = 0
        self._bytes = 0
        self._draining = False
        # At most one waiter for each stream, so bounded by the connections and their streams.
        self._waiters: list[asyncio.Future[None]] = []
        self._readers: set[asyncio.Timeout] = set()
        metrics.in_flight_limit.set(pictures)
        metrics.in_flight_bytes_limit.set(total_bytes)

    def drain(self) -> None:
        """Refuses everything from now on, and ends every `reading`."""
        self._draining = True
        self._wake()
        for reader in self._readers:
            reader.reschedule(asyncio.get_running_loop().time())

    def check_size(self, size: int) -> None:
        """Raises `ImageTooLargeError` for a picture file that no server of these settings takes."""
        if size > self._image_bytes:
            raise ImageTooLargeError(f"the picture file is larger than {self._image_bytes} bytes")

    def enter(self, size: int) -> Place:
        """Room for a picture file of `size` bytes. Raises `OverloadedError` or `DrainingError` at once."""
        if self._draining:
            raise _draining()
        if not self._fits(size):
            full = Full.PICTURES if self._count >= self._pictures else Full.BYTES
            raise OverloadedError("too many pictures are being worked on", full)
        self._change(1, size)
        return Place(self, size)

    async def wait(self, size: int) -> Place:
        """As `enter`, but waits for room, and leaves some: for streams, which can stop reading. Raises `DrainingError`."""
        while not self._draining and not self._fits(size, self._kept_pictures, self._kept_bytes):
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            with self._metrics.waiting_streams.track_inprogress():
                await waiter
        return self.enter(size)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """The part of a stream in which it is read: `drain` interrupts whatever it waits for. Raises `DrainingError`."""
        try:
            async with asyncio.timeout(0 if self._draining else None) as reader:
                self._readers.add(reader)
                try:
                    yield
                finally:
                    self._readers.discard(reader)
        except TimeoutError:
            raise _draining() from None

    def leave(self, size: int) -> None:
        """Gives back the room of a file of `size` bytes; `Place` calls it."""
        self._change(-1, -size)
        self._wake()

    def _fits(self, size: int, kept_pictures: int = 0, kept_bytes: int = 0) -> bool:
        room = max(self._total_bytes - kept_bytes, size)  # what is larger than all the room comes in alone
        return self._count < self._pictures - kept_pictures and self._bytes + size <= room

    def _change(self, pictures: int, size: int) -> None:
        self._count += pictures
        self._bytes += size
        self._metrics.in_flight.set(self._count)
        self._metrics.in_flight_bytes.set(self._bytes)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():  # its stream may be gone
                waiter.set_result(None)


def _draining() -> DrainingError:
    return DrainingError("the server is shutting down")


class Place:
    """Room that is held for one picture. A context manager; giving it back twice does no harm."""

    __slots__ = ("_limits", "_size")

    def __init__(self, limits: Limits, size: int) -> None:
        self._limits: Limits | None = limits
        self._size = size

    def leave(self) -> None:
        """Gives the room back."""
        if self._limits is not None:
            limits, self._limits = self._limits, None
            limits.leave(self._size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()
