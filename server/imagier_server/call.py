# SPDX-License-Identifier: Apache-2.0
"""The call context: caller, transport, lane and deadline, handed through every layer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from math import inf

_WAY_SECONDS = 0.05
_WAY_PART = 20  # or this part of a short deadline


class Transport(StrEnum):
    """The transport of a call."""

    GRPC = "grpc"
    HTTP = "http"


class Lane(IntEnum):
    """The priority in queues. The values are Triton's priority levels."""

    INTERACTIVE = 1
    BULK = 2

    @property
    def label(self) -> str:
        """The lane's name in metrics and logs."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller for fair shares: opaque names of a group (an address) and of a member (a connection)."""

    group: str
    member: str


ANYBODY = Caller("", "")


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """A key's own limits, in place of those that the server has for every key; None: the server's.

    `pictures` in a moving window, as in "500 per 4 hours"; pictures and bytes of picture files in flight.
    """

    pictures: str | None = None
    in_flight: int | None = None
    in_flight_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls, by a key: its id, never the key itself. `scopes`: names of tasks, `TASKS` for every task, `ADMIN`.

    `callbacks`: the origins ("https://photos.example.org") that results may be sent to.
    """

    key_id: str
    tenant: str
    scopes: frozenset[str]
    limits: KeyLimits = KeyLimits()
    callbacks: tuple[str, ...] = ()


TASKS = "tasks"
"""The scope of every task."""
ADMIN = "admin"
"""The scope of other tenants' accounts."""


@dataclass(frozen=True, slots=True)
class CallContext:
    """One call. `deadline` is in the event loop's time; infinite if the caller sets none.

    `identity` is None on a server without keys. Calls with the same `idempotency_key` are tries of one; "" means that there is one.
    The pipeline turns it into `operation`, a name that tells nothing of the call.

    `waits_until`: how long a single call in the bulk lane may wait for capacity, in the event loop's time; None: it is a stream's.
    """

    transport: Transport
    lane: Lane
    caller: Caller = ANYBODY
    deadline: float = inf
    identity: Identity | None = None
    idempotency_key: str = ""
    operation: str = ""
    waits_until: float | None = None

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline; negative once it has passed."""
        return self.deadline - asyncio.get_running_loop().time()


def answer_by(seconds: float | None) -> float:
    """The deadline for a caller that waits for `seconds` (None: for ever), less some time for sending the answer."""
    if seconds is None:
        return inf
    return asyncio.get_running_loop().time() + seconds - min(_WAY_SECONDS, seconds / _WAY_PART)
