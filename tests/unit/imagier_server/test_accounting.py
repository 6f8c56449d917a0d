# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from imagier_server.accounting import MAX_DAYS, Accounting, NoLedgerError, UnknownTenantError
from imagier_server.call import ADMIN, TASKS, CallContext, Identity
from imagier_server.errors import ForbiddenError, InvalidRequestError
from imagier_server.messages import Account, Use
from support.calls import call

DAY = 86_400
PRICES = {"tags": 2, "ocr": 5}


class Ledger:
    """One tenant, and what it is asked for."""

    def __init__(self, account: Account) -> None:
        self.accounts = {account.tenant: account}
        self.asked: list[tuple[str, int, int]] = []

    async def account(self, tenant: str) -> Account | None:
        return self.accounts.get(tenant)

    async def usage(self, tenant: str, since: int, until: int) -> Sequence[Use] | None:
        self.asked.append((tenant, since, until))
        return [Use(since, "tags", 1, 2)] if tenant in self.accounts else None


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(Account("library", 20, 8, postpaid=False))


@pytest.fixture
def accounting(ledger: Ledger) -> Accounting:
    return Accounting(ledger, PRICES)


def keyed(tenant: str = "library", *scopes: str) -> CallContext:
    return replace(call(), identity=Identity("k1", tenant, frozenset(scopes or (TASKS,))))


async def test_a_caller_sees_its_own_tenant_only(accounting: Accounting, ledger: Ledger) -> None:
    own = await accounting.balance("", keyed())
    assert own is await accounting.balance("library", keyed()) is ledger.accounts["library"]
    for asked in (accounting.balance("archive", keyed()), accounting.usage("archive", "", "", keyed())):
        with pytest.raises(ForbiddenError):
            await asked


async def test_an_admin_sees_every_tenant(accounting: Accounting) -> None:
    admin = keyed("operator", ADMIN)
    assert (await accounting.balance("library", admin)).available == 12
    assert await accounting.usage("library", "", "", admin)
    unknown = (accounting.balance(name, admin) for name in ("nobody", "\x00", "x" * 10_000))
    for asked in (*unknown, accounting.usage("nobody", "", "", admin)):
        with pytest.raises(UnknownTenantError):
            await asked


async def test_days_are_whole_and_both_ends_count(accounting: Accounting, ledger: Ledger) -> None:
    await accounting.usage("", "2026-11-01", "2026-11-02", keyed())
    await accounting.usage("", "", "1970-02-01", keyed())
    assert ledger.asked == [("library", 20758 * DAY, 20760 * DAY), ("library", DAY, 32 * DAY)]
    await accounting.usage("", "0001-01-01", "0001-01-01", keyed())
    await accounting.usage("", "", "0001-01-01", keyed())


@pytest.mark.parametrize(
    ("first", "last"),
    [("yesterday", ""), ("", "2026-13-01"), ("2026-11-02", "2026-11-01"), ("2020-01-01", "2026-01-01"), ("", "\x00")],
)
async def test_wrong_days_are_refused(accounting: Accounting, first: str, last: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await accounting.usage("", first, last, keyed())
    assert caught.value.field in {"first_day", "last_day"}
    assert MAX_DAYS == 366


async def test_a_quote_says_what_it_would_cost_and_whether_that_suffices(
    accounting: Accounting, ledger: Ledger
) -> None:
    one = await accounting.quote(["tags", "ocr"], 0, keyed())
    assert (dict(one.prices), one.total, one.sufficient) == (PRICES, 7, True)
    assert not (await accounting.quote(["ocr"], 3, keyed())).sufficient
    ledger.accounts["library"] = replace(ledger.accounts["library"], postpaid=True)
    assert (await accounting.quote(["ocr"], 3, keyed())).sufficient


@pytest.mark.parametrize(
    ("tasks", "pictures"), [([], 1), (["invented"], 1), (["tags"] * 65, 1), (["tags"], -1), (["tags"], 10**10)]
)
async def test_an_absurd_quote_is_refused(accounting: Accounting, tasks: list[str], pictures: int) -> None:
    with pytest.raises(InvalidRequestError):
        await accounting.quote(tasks, pictures, keyed())


async def test_without_a_ledger_only_quotes_are_answered() -> None:
    accounting = Accounting(None, PRICES)
    assert (await accounting.quote(["tags"], 10, call())).sufficient
    for asked in (accounting.balance("", call()), accounting.usage("", "", "", call())):
        with pytest.raises(NoLedgerError):
            await asked
