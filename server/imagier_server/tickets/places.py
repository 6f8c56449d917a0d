# SPDX-License-Identifier: Apache-2.0
"""Bounds open tickets: their number and the bytes of their pictures, in all and for each tenant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from imagier_server.admission.callers import Shares
from imagier_server.call import Caller
from imagier_server.errors import Full, OverloadedError
from imagier_server.metrics import Metrics

_AGAIN_SECONDS = 5.0


class Place:
    """The place of an open ticket."""

    __slots__ = ("_caller", "_places", "size")

    def __init__(self, places: Places, caller: Caller, size: int) -> None:
        self._places = places
        self._caller = caller
        self.size = size

    def let_go(self) -> None:
        """Release the picture's bytes."""
        self._places.change(self._caller, 0, -self.size)
        self.size = 0


class Places:
    """At most `tickets` open tickets, with pictures of `total_bytes`; fair among tenants, as `Shares` is."""

    def __init__(self, tickets: int, total_bytes: int, metrics: Metrics) -> None:
        self._most = tickets
        self._most_bytes = total_bytes
        self._shares = (Shares(tickets), Shares(total_bytes))
        self._count = 0
        self._bytes = 0
        self._metrics = metrics

    @contextmanager
    def taken(self, caller: Caller, size: int) -> Iterator[Place]:
        """A place for a picture file of `size` bytes. Raises `OverloadedError`."""
        self._check(caller, size)
        place = Place(self, caller, size)
        self.change(caller, 1, size)
        try:
            yield place
        finally:
            self.change(caller, -1, -place.size)

    def change(self, caller: Caller, tickets: int, size: int) -> None:
        """Add to what is open; called by `Place`."""
        self._count += tickets
        self._bytes += size
        for share, more in zip(self._shares, (tickets, size), strict=True):
            share.change(caller, more)
        self._metrics.open_tickets.set(self._count)
        self._metrics.open_ticket_bytes.set(self._bytes)

    def _check(self, caller: Caller, size: int) -> None:
        count, total = self._shares
        if self._count >= self._most or not count.fits(caller, 1):
            raise OverloadedError(
                "too many tickets are open: wait until some are answered", Full.TICKETS, retry_after=_AGAIN_SECONDS
            )
        if (self._bytes and self._bytes + size > self._most_bytes) or not total.fits(caller, size):
            raise OverloadedError(
                "the pictures of open tickets take too many bytes: wait until some are answered",
                Full.TICKET_BYTES,
                retry_after=_AGAIN_SECONDS,
            )
