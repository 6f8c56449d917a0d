# SPDX-License-Identifier: Apache-2.0
"""Reserves credits and charges for work: many at once, in one transaction. Blocking."""

from __future__ import annotations

import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from imagier_server.errors import CreditsReservedError, ImagierError, UnpaidError
from imagier_server.ledger.accounts import Kind
from imagier_server.ledger.schema import accounts, entries, reservations

LONGEST_SECONDS = 4 * 3600
"""The longest that credits stay reserved. A reservation that seems to last longer was made under a wrong clock."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Credits to reserve for one try of an operation: the price of each task. `seconds`: when the reservation expires.

    `operation`: the same for all tries; "" if there is only one.
    """

    tenant: str
    key_id: str
    prices: Mapping[str, int]
    seconds: float
    operation: str = ""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Credits reserved for an `Ask`: for the tasks that have not been charged by an earlier try."""

    id: str
    ask: Ask
    amount: int

    @property
    def operation(self) -> str:
        """The name of the charges, which are entered once under it."""
        return self.ask.operation or self.id


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of a reservation: the credits of each task that succeeded. Posting it twice charges once."""

    reservation: Reservation
    charges: Mapping[str, int]


_CHARGE = {
    "postgresql": postgresql.insert(entries).on_conflict_do_nothing().returning(entries.c.tenant, entries.c.amount),
    "sqlite": sqlite.insert(entries).on_conflict_do_nothing().returning(entries.c.tenant, entries.c.amount),
}
_RELEASE = (
    delete(reservations)
    .where(reservations.c.id.in_(bindparam("ids", expanding=True)))
    .returning(reservations.c.tenant, reservations.c.amount)
)
_SWEEP = (
    delete(reservations)
    .where(or_(reservations.c.expires < bindparam("now"), reservations.c.expires > bindparam("latest")))
    .returning(reservations.c.tenant, reservations.c.amount)
)
_SETTLE = (
    update(accounts)
    .where(accounts.c.tenant == bindparam("whose"))
    .values(balance=accounts.c.balance + bindparam("charged"), reserved=accounts.c.reserved - bindparam("released"))
)
_RESERVE = (
    update(accounts)
    .where(
        accounts.c.tenant == bindparam("whose"),
        or_(accounts.c.postpaid, accounts.c.balance - accounts.c.reserved >= bindparam("credits")),
    )
    .values(reserved=accounts.c.reserved + bindparam("credits"))
)
_PAID = select(entries.c.operation, entries.c.task).where(
    entries.c.operation.in_(bindparam("operations", expanding=True))
)


def post(
    connection: Connection, asks: Sequence[Ask], settlements: Sequence[Settlement], *, sweep: bool = False
) -> list[Reservation | ImagierError]:
    """Settle, then reserve; return the reservation of each ask, or why there is none. `sweep`: void expired reservations.

    Rows are locked in one order by all gateways: reservations, entries, accounts by name. So none waits for another in a circle.
    """
    now = int(time.time())
    charged, released = _settled(connection, settlements, now, sweep=sweep)
    paid = _paid(connection, asks)
    wanted: dict[str, list[int]] = defaultdict(list)
    for place, ask in enumerate(asks):
        wanted[ask.tenant].append(place)
    made: dict[int, Reservation | ImagierError] = {}
    for tenant in sorted({*charged, *released, *wanted}):
        if charged[tenant] or released[tenant]:
            connection.execute(_SETTLE, {"whose": tenant, "charged": charged[tenant], "released": released[tenant]})
        if wanted[tenant]:
            made |= _reserved(connection, tenant, {place: _reservation(asks[place], paid) for place in wanted[tenant]})
    rows = [
        {
            "id": each.id,
            "tenant": each.ask.tenant,
            "amount": each.amount,
            "expires": now + int(min(each.ask.seconds, LONGEST_SECONDS)) + 1,
        }
        for each in made.values()
        if isinstance(each, Reservation) and each.amount
    ]
    if rows:
        connection.execute(insert(reservations), rows)
    return [made[place] for place in range(len(asks))]


def void(connection: Connection, ids: Sequence[str]) -> None:
    """Give back what is reserved, for work that has ended without its gateway."""
    released = Counter[str]()
    for tenant, amount in connection.execute(_RELEASE, {"ids": ids}):
        released[tenant] += amount
    for tenant in sorted(released):
        connection.execute(_SETTLE, {"whose": tenant, "charged": 0, "released": released[tenant]})


def _settled(
    connection: Connection, settlements: Sequence[Settlement], now: int, *, sweep: bool
) -> tuple[Counter[str], Counter[str]]:
    """Delete the reservations and enter the charges; return what was charged (below 0) and released, by tenant."""
    charged, released = Counter[str](), Counter[str]()
    ids = [each.reservation.id for each in settlements if each.reservation.amount]
    if ids:
        # One that has expired was released by whoever swept it. Its charge stands all the same.
        for tenant, amount in connection.execute(_RELEASE, {"ids": ids}):
            released[tenant] += amount
    if sweep:
        for tenant, amount in connection.execute(_SWEEP, {"now": now, "latest": now + 2 * LONGEST_SECONDS}):
            released[tenant] += amount
    rows = [
        {
            "tenant": each.reservation.ask.tenant,
            "at": now,
            "kind": Kind.CHARGE.value,
            "key_id": each.reservation.ask.key_id,
            "task": task,
            "amount": -price,
            "operation": each.reservation.operation,
        }
        for each in settlements
        for task, price in each.charges.items()
    ]
    if rows:
        rows.sort(key=lambda row: (row["operation"], row["task"]))
        for tenant, amount in connection.execute(_CHARGE[connection.dialect.name], rows):
            charged[tenant] += amount
    return charged, released


def _paid(connection: Connection, asks: Sequence[Ask]) -> set[tuple[str, str]]:
    """The operations and tasks that earlier tries were charged for."""
    operations = [ask.operation for ask in asks if ask.operation]
    if not operations:
        return set()
    found = connection.execute(_PAID, {"operations": operations})
    return {(operation, task) for operation, task in found}


def _reservation(ask: Ask, paid: set[tuple[str, str]]) -> Reservation:
    amount = sum(price for task, price in ask.prices.items() if (ask.operation, task) not in paid)
    return Reservation(secrets.token_hex(16), ask, amount)


def _reserved(
    connection: Connection, tenant: str, asked: Mapping[int, Reservation]
) -> dict[int, Reservation | ImagierError]:
    """Reserve for all of a tenant's asks in one statement; if that is too much, for each in its turn."""
    total = sum(each.amount for each in asked.values())
    if not total or _fits(connection, tenant, total):
        return dict(asked)
    return {
        place: each if not each.amount or _fits(connection, tenant, each.amount) else _short(connection, each)
        for place, each in asked.items()
    }


def _fits(connection: Connection, tenant: str, amount: int) -> bool:
    return connection.execute(_RESERVE, {"whose": tenant, "credits": amount}).rowcount == 1


def _short(connection: Connection, wanted: Reservation) -> ImagierError:
    balance = connection.scalar(select(accounts.c.balance).where(accounts.c.tenant == wanted.ask.tenant))
    if balance is not None and balance >= wanted.amount:
        return CreditsReservedError("the credits left are reserved for work in flight")
    return UnpaidError("too few credits are left for this request: see GetBalance, and ask for more")
