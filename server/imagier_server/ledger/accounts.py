# SPDX-License-Identifier: Apache-2.0
"""Accounts: credits are granted, counted and reported. Blocking."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import Connection, func, insert, literal, or_, select, update

from imagier_server.ledger.database import LedgerError
from imagier_server.ledger.schema import accounts, entries, reservations
from imagier_server.messages import Account, Use

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")
_MOST = 10**15
_DAY = 86_400


class Kind(StrEnum):
    """The kind of an entry."""

    GRANT = "grant"
    ALLOWANCE = "allowance"
    CHARGE = "charge"


def open_account(connection: Connection, tenant: str) -> None:
    """Make a tenant's account if there is none. Raises `LedgerError` for a wrong name."""
    if not _TENANT.fullmatch(tenant):
        raise LedgerError("a tenant's name has 1 to 63 letters, digits, dots, hyphens, underscores or @ signs")
    if connection.scalar(select(accounts.c.tenant).where(accounts.c.tenant == tenant)) is None:
        connection.execute(
            insert(accounts).values(tenant=tenant, balance=0, reserved=0, postpaid=False, created=int(time.time()))
        )


def account(connection: Connection, tenant: str) -> Account:
    """A tenant's account. Raises `LedgerError` if there is none."""
    columns = (accounts.c.tenant, accounts.c.balance, accounts.c.reserved, accounts.c.postpaid)
    row = connection.execute(select(*columns).where(accounts.c.tenant == tenant)).one_or_none()
    if row is None:
        raise LedgerError("there is no such tenant: see `imagier credits show`")
    return Account(*row)


def every(connection: Connection) -> list[Account]:
    """All accounts, by tenant."""
    columns = (accounts.c.tenant, accounts.c.balance, accounts.c.reserved, accounts.c.postpaid)
    return [Account(*row) for row in connection.execute(select(*columns).order_by(accounts.c.tenant))]


def grant(
    connection: Connection, tenant: str, amount: int, kind: Kind = Kind.GRANT, *, reference: str | None = None
) -> bool:
    """Give credits, or take them back if below 0; with the same `reference` only once. Return whether it was done.

    Raises `LedgerError` if there is no such tenant, if the number is absurd, or if more is taken than is available.
    """
    account(connection, tenant)
    if not amount or abs(amount) > _MOST:
        raise LedgerError(f"credits are a whole number other than 0, at most {_MOST}")
    operation = f"{kind} {tenant} {reference}" if reference else secrets.token_hex(16)
    if connection.scalar(select(entries.c.id).where(entries.c.operation == operation)):
        return False
    room = or_(literal(amount > 0), accounts.c.postpaid, accounts.c.balance - accounts.c.reserved >= -amount)
    changed = connection.execute(
        update(accounts).where(accounts.c.tenant == tenant, room).values(balance=accounts.c.balance + amount)
    )
    if changed.rowcount == 0:
        raise LedgerError("that is more than is available")
    connection.execute(
        insert(entries).values(
            tenant=tenant, at=int(time.time()), kind=kind, key_id="", task="", amount=amount, operation=operation
        )
    )
    return True


def set_postpaid(connection: Connection, tenant: str, postpaid: bool) -> None:
    """Let a tenant pay later, or no longer. Raises `LedgerError` if there is none."""
    account(connection, tenant)
    connection.execute(update(accounts).where(accounts.c.tenant == tenant).values(postpaid=postpaid))


def usage(connection: Connection, tenant: str, since: int = 0, until: int | None = None) -> list[Use]:
    """What a tenant used between two times, by day and task. Raises `LedgerError` if there is no such tenant."""
    account(connection, tenant)
    day = entries.c.at - entries.c.at % _DAY
    query = (
        select(day, entries.c.task, func.count(), func.sum(-entries.c.amount))
        .where(entries.c.tenant == tenant, entries.c.kind == Kind.CHARGE, entries.c.at >= since)
        .group_by(day, entries.c.task)
        .order_by(day, entries.c.task)
    )
    if until is not None:
        query = query.where(entries.c.at < until)
    return [Use(day, task, pictures, int(charged)) for day, task, pictures, charged in connection.execute(query)]


def faults(connection: Connection) -> list[str]:
    """What does not add up, one sentence each: a balance is the sum of its entries, and `reserved` that of its reservations."""
    return [
        f"{tenant}: {what} is {kept}, and its rows add up to {summed}"
        for what, column, rows in (
            ("the balance", accounts.c.balance, entries),
            ("what is reserved", accounts.c.reserved, reservations),
        )
        for tenant, kept, summed in _sums(connection, column, rows)
        if kept != summed
    ]


def _sums(connection: Connection, column: object, rows: object) -> Iterable[tuple[str, int, int]]:
    summed = (
        select(func.coalesce(func.sum(rows.c.amount), literal(0)))  # type: ignore[attr-defined]
        .where(rows.c.tenant == accounts.c.tenant)  # type: ignore[attr-defined]
        .scalar_subquery()
    )
    for tenant, kept, total in connection.execute(select(accounts.c.tenant, column, summed)):  # type: ignore[call-overload]
        yield tenant, kept, int(total)
