# SPDX-License-Identifier: Apache-2.0
"""Tickets: work whose result its caller collects later. The ledger has the result sealed, and never the picture. Blocking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from imagier_server.errors import Full, OverloadedError, Quota, QuotaError
from imagier_server.ledger.booking import void
from imagier_server.ledger.keys import DAY
from imagier_server.ledger.schema import tickets

MOST = 50_000
"""Tickets of all keys, collected ones not counted."""
MOST_OF_KEY = 5_000
KEPT_SECONDS = DAY
LEASE_SECONDS = 20
"""For so long a gateway that is not heard of may still be working on its tickets."""
HAND_OUT_SECONDS = 10
"""For so long a result is on its way to who collects it. If it does not arrive, it can be collected again."""
_AT_ONCE = 256
_COLLECT_AGAIN_SECONDS = 60.0


class State(StrEnum):
    """What has become of a ticket."""

    OPEN = "open"
    DONE = "done"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Opened:
    """A ticket whose picture is in a gateway's memory. `reservation`: the id of its credits, "" for none."""

    id: str
    key_id: str
    gateway: str
    reservation: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """A ticket that has ended: its sealed result, or None if it was lost with its gateway."""

    id: str
    sealed: bytes | None


def open_ticket(connection: Connection, ticket: Opened, now: int) -> None:
    """Enter a ticket. Raises `QuotaError`, `OverloadedError` if too many have not been collected."""
    if _count(connection, tickets.c.key_id == ticket.key_id) >= MOST_OF_KEY:
        raise QuotaError(
            f"{MOST_OF_KEY} tickets of this key wait to be collected: collect their results first",
            Quota.KEY_TICKETS,
            retry_after=_COLLECT_AGAIN_SECONDS,
        )
    if _count(connection) >= MOST:
        raise OverloadedError(
            "too many tickets wait to be collected on this server", Full.TICKETS, retry_after=_COLLECT_AGAIN_SECONDS
        )
    connection.execute(
        insert(tickets).values(
            id=ticket.id,
            key_id=ticket.key_id,
            state=State.OPEN.value,
            gateway=ticket.gateway,
            reservation=ticket.reservation,
            held=now + LEASE_SECONDS,
            expires=now + KEPT_SECONDS,
        )
    )


def finish(connection: Connection, ticket: str, sealed: bytes, now: int, held: float = 0) -> bool:
    """Keep a result, which nobody else collects for `held` seconds. False if the ticket was given up meanwhile."""
    done = connection.execute(
        update(tickets)
        .where(tickets.c.id == ticket, tickets.c.state == State.OPEN.value)
        .values(state=State.DONE.value, sealed=sealed, held=now + int(held), expires=now + KEPT_SECONDS)
    )
    return done.rowcount == 1


def release(connection: Connection, ticket: str) -> None:
    """Let a result be collected from now on."""
    connection.execute(update(tickets).where(tickets.c.id == ticket).values(held=0))


def collect(connection: Connection, key_id: str, now: int) -> list[Kept]:
    """Hand out what has ended of a key's tickets, oldest first, a few hundred at a time; each to one caller only."""
    query = (
        select(tickets.c.id, tickets.c.sealed)
        .where(tickets.c.key_id == key_id, tickets.c.state != State.OPEN.value, tickets.c.held <= now)
        .order_by(tickets.c.expires, tickets.c.id)
        .limit(_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    found = [Kept(*row) for row in connection.execute(query)]
    if found:
        taken = update(tickets).where(tickets.c.id.in_([each.id for each in found]))
        connection.execute(taken.values(held=now + HAND_OUT_SECONDS))
    return found


def look(connection: Connection, key_id: str, wanted: Sequence[str], now: int) -> tuple[list[Kept], set[str]]:
    """Which of a key's tickets have ended, and the ids of those that have not. Nothing changes."""
    columns = (tickets.c.id, tickets.c.sealed, tickets.c.state, tickets.c.held)
    rows = connection.execute(
        select(*columns)
        .where(tickets.c.key_id == key_id, tickets.c.id.in_(wanted))
        .order_by(tickets.c.expires, tickets.c.id)
    ).all()
    ended = [row for row in rows if row.state != State.OPEN.value and row.held <= now]
    return [Kept(row.id, row.sealed) for row in ended[:_AT_ONCE]], {row.id for row in rows} - {
        row.id for row in ended[:_AT_ONCE]
    }


def wipe(connection: Connection, key_id: str, which: Sequence[str]) -> int:
    """Forget a key's tickets that have ended; return how many there were."""
    gone = delete(tickets).where(
        tickets.c.key_id == key_id, tickets.c.id.in_(which), tickets.c.state != State.OPEN.value
    )
    return connection.execute(gone).rowcount


def drop(connection: Connection, ticket: str) -> None:
    """Forget a ticket whose caller was never told of it."""
    connection.execute(delete(tickets).where(tickets.c.id == ticket))


def lose(connection: Connection, *which: ColumnElement[bool]) -> None:
    """Give up open tickets, and what is reserved for them."""
    query = select(tickets.c.id, tickets.c.reservation).where(tickets.c.state == State.OPEN.value, *which)
    rows = connection.execute(query.order_by(tickets.c.id).with_for_update()).all()
    if rows:
        lost = update(tickets).where(tickets.c.id.in_([row.id for row in rows]))
        connection.execute(lost.values(state=State.LOST.value, held=0))
    if reservations := [row.reservation for row in rows if row.reservation]:
        void(connection, reservations)


def renew(connection: Connection, gateway: str, now: int) -> None:
    """Vouch for a gateway's open tickets."""
    connection.execute(
        update(tickets)
        .where(tickets.c.gateway == gateway, tickets.c.state == State.OPEN.value)
        .values(held=now + LEASE_SECONDS)
    )


def due(connection: Connection, now: int) -> bool:
    """Whether `sweep` has something to do."""
    return _count(connection, _abandoned(now) | (tickets.c.expires <= now)) > 0


def sweep(connection: Connection, now: int) -> int:
    """Give up the tickets of gateways that are gone, and forget what nobody collected; return how many were forgotten."""
    lose(connection, _abandoned(now))
    return connection.execute(delete(tickets).where(tickets.c.expires <= now)).rowcount


def _abandoned(now: int) -> ColumnElement[bool]:
    return (tickets.c.state == State.OPEN.value) & (tickets.c.held < now)


def _count(connection: Connection, *which: ColumnElement[bool]) -> int:
    return connection.execute(select(func.count()).select_from(tickets).where(*which)).scalar_one()
