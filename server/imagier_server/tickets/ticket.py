# SPDX-License-Identifier: Apache-2.0
"""What a caller leaves at the desk: the work, how its answer is written down and sealed, and where it goes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from imagier_server.call import CallContext
from imagier_server.messages import AnnotateRequest, TaskOutcome


class Seal(Protocol):
    """Seals a ticket's document so that only its caller's key opens it."""

    def close(self, ticket: str, document: bytes) -> bytes: ...


class UnsealingSeal(Seal, Protocol):
    """Opens what it has sealed, too; None if it has not."""

    def open(self, ticket: str, sealed: bytes) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """How the work ended: the outcome of each task, and the seconds that it took."""

    outcomes: Mapping[str, TaskOutcome]
    seconds: float

    @property
    def cost(self) -> int:
        """Credits of the tasks that succeeded."""
        return sum(outcome.cost for outcome in self.outcomes.values())


class Writer(Protocol):
    """Writes an answer down."""

    def __call__(self, ticket: str, answer: Answer) -> bytes: ...


@dataclass(slots=True)
class Ticket:
    """Work that is done later. Everything here is in memory only, and gone when the ticket ends.

    `fetch` gets the picture if `request` has none. `deliver` hands the document over, and returns whether it has arrived.
    """

    id: str
    request: AnnotateRequest
    call: CallContext
    seal: Seal
    write: Writer
    fetch: Callable[[CallContext], Awaitable[bytes]] | None = None
    deliver: Callable[[bytes], Awaitable[bool]] | None = None

    def let_go(self) -> None:
        """Drop the picture, whoever else has the request."""
        object.__setattr__(self.request, "image", b"")
