# SPDX-License-Identifier: Apache-2.0
"""Tracks incomplete messages: a connection's received bytes minus its complete messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from imagier_server.call import Caller

_FRAMING = 1024  # bytes that come with a message: headers, acknowledgements and pings,
_FRAMING_PART = 256  # and this part of it: the heads of its frames


@dataclass(eq=False, slots=True)
class Arriving:
    """A call that still expects messages."""

    caller: Caller
    small: bool = False
    """Whether its message should have only a few bytes, as a health check's."""
    ends: asyncio.Timeout | None = None
    """Start of the current read."""
    began: float = 0.0
    stopped: bool = False
    first: int = 0
    """Bytes received on the connection when the read began."""
    holds: int = 0
    """Maximum bytes held, as last measured."""


@dataclass(slots=True)
class _Connection:
    """Bytes since it began; None if the kernel does not count."""

    came: int | None
    handed_on: int
    reads: dict[Arriving, None] = field(default_factory=dict)  # in order of age


class Unfinished:
    """The connections with current reads; a message has at most `message_bytes`.

    `received` returns a connection's bytes. If it is unknown, each read may hold a whole message.
    """

    def __init__(self, message_bytes: int, received: Callable[[str], int | None]) -> None:
        self.message_bytes = message_bytes
        self._received = received
        self._connections: dict[str, _Connection] = {}

    def begin(self, call: Arriving) -> None:
        """Start a read."""
        came = self._received(call.caller.member)
        connection = self._connections.setdefault(call.caller.member, _Connection(came, came or 0))
        connection.reads[call] = None
        call.first, call.holds = came or 0, 0

    def end(self, call: Arriving, size: int | None) -> None:
        """End a read, with a message of `size` bytes or without one."""
        connection = self._connections[call.caller.member]
        del connection.reads[call]
        if not connection.reads:
            del self._connections[call.caller.member]
        elif size is not None:
            connection.handed_on += size + size // _FRAMING_PART + _FRAMING

    def look(self) -> int:
        """Return the maximum bytes held in all, and set each read's `holds`.

        Of two reads on one connection the later one gets the bytes since it began: the other may have waited for long.
        """
        total = 0
        for name, connection in self._connections.items():
            came = self._received(name)
            connection.came = connection.came if came is None else came  # or it has just been closed
            left = len(connection.reads) * self.message_bytes
            if connection.came is not None:
                connection.handed_on = min(
                    connection.handed_on, connection.came
                )  # it may have come before the read began
                left = min(left, connection.came - connection.handed_on)
            total += left
            for call in reversed(connection.reads):
                since = self.message_bytes if connection.came is None else connection.came - call.first
                call.holds = min(left, since, self.message_bytes)
                left -= call.holds
        return total
