# SPDX-License-Identifier: Apache-2.0
"""What a caller may see of accounts: its tenant's balance and use, and what work would cost."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from imagier_server.call import ADMIN, CallContext
from imagier_server.errors import Code, ForbiddenError, ImagierError, InvalidRequestError
from imagier_server.messages import Account, Quote, Use

MAX_DAYS = 366
MAX_TASKS = 64
MAX_PICTURES = 1_000_000_000
_USUAL_DAYS = 30
_LONGEST_NAME = 63


class NoLedgerError(ImagierError):
    """This server has no accounts."""

    code = Code.UNSUPPORTED
    reason = "NO_LEDGER"


class UnknownTenantError(ImagierError):
    """There is no account of this tenant."""

    code = Code.NOT_FOUND
    reason = "UNKNOWN_TENANT"

    def __init__(self) -> None:
        super().__init__("there is no such tenant", field="tenant")


class Ledger(Protocol):
    """The accounts; None for an unknown tenant. Raises `LedgerUnavailableError`."""

    async def account(self, tenant: str) -> Account | None: ...

    async def usage(self, tenant: str, since: int, until: int) -> Sequence[Use] | None: ...


@dataclass(frozen=True, slots=True)
class Accounting:
    """The accounts of one server, None if it charges nothing, and the price of each task."""

    ledger: Ledger | None
    prices: Mapping[str, int]

    async def balance(self, tenant: str, call: CallContext) -> Account:
        """A tenant's account; "" is the caller's own.

        Raises `NoLedgerError`, `ForbiddenError`, `UnknownTenantError`, `LedgerUnavailableError`.
        """
        ledger, tenant = self._whose(tenant, call)
        account = await ledger.account(tenant)
        if account is None:
            raise UnknownTenantError
        return account

    async def usage(self, tenant: str, first: str, last: str, call: CallContext) -> Sequence[Use]:
        """What a tenant used from one day to another, both included ("2026-11-29", UTC; "": the last month).

        Raises as `balance`, and `InvalidRequestError`.
        """
        ledger, tenant = self._whose(tenant, call)
        today = datetime.fromtimestamp(time.time(), UTC).date()
        end = _day(last, "last_day") if last else today
        begin = (
            _day(first, "first_day") if first else max(date.min, end - timedelta(min(_USUAL_DAYS, end.toordinal() - 1)))
        )
        if not 0 <= (end - begin).days <= MAX_DAYS:
            raise InvalidRequestError(f"the last day must be 0 to {MAX_DAYS} days after the first", field="last_day")
        used = await ledger.usage(tenant, _seconds(begin), _seconds(end) + 86_400)
        if used is None:
            raise UnknownTenantError
        return used

    async def quote(self, tasks: Sequence[str], pictures: int, call: CallContext) -> Quote:
        """What the tasks would cost for so many pictures (0: one). Raises `InvalidRequestError`, `LedgerUnavailableError`."""
        if not 1 <= len(tasks) <= MAX_TASKS:
            raise InvalidRequestError(f"name 1 to {MAX_TASKS} tasks", field="tasks")
        if any(task not in self.prices for task in tasks):
            raise InvalidRequestError("this server does not have such a task: see its catalogue", field="tasks")
        if not 0 <= pictures <= MAX_PICTURES:
            raise InvalidRequestError(f"the number of pictures must be 1 to {MAX_PICTURES}", field="pictures")
        prices = {task: self.prices[task] for task in tasks}
        total = sum(prices.values()) * (pictures or 1)
        sufficient = True
        if self.ledger and call.identity:
            account = await self.balance("", call)
            sufficient = account.postpaid or account.available >= total
        return Quote(prices, total, sufficient)

    def _whose(self, tenant: str, call: CallContext) -> tuple[Ledger, str]:
        if self.ledger is None or call.identity is None:
            raise NoLedgerError("this server has no accounts: it charges nothing")
        own = call.identity.tenant
        if tenant not in {"", own} and ADMIN not in call.identity.scopes:
            raise ForbiddenError("this key may see its own tenant's account only", field="tenant")
        if len(tenant) > _LONGEST_NAME or not tenant.isprintable():
            raise UnknownTenantError
        return self.ledger, tenant or own


def _day(text: str, field: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidRequestError('a day must be written as in "2026-11-29"', field=field) from None


def _seconds(day: date) -> int:
    return (day - date(1970, 1, 1)).days * 86_400
