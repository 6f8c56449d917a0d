# SPDX-License-Identifier: Apache-2.0
"""A model of a tenant beside the ledger, for any database: collected as `ledger_cases` is."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from imagier_server.errors import CreditsReservedError, UnpaidError
from imagier_server.ledger import accounts
from imagier_server.ledger.accounts import Kind
from imagier_server.ledger.booking import Ask, Reservation
from imagier_server.ledger.database import Database, LedgerError
from imagier_server.ledger.schema import entries
from imagier_server.messages import Account

from support.ledger_cases import account, clock, reserve, rich, settle, sweep  # noqa: F401


class Books(RuleBasedStateMachine):
    """A model of one tenant beside the ledger: any order of grants, tries, settlements, sweeps and jumps of the clock."""

    database: Database
    now: list[float]
    tries = Bundle("tries")

    @initialize()
    def begin(self) -> None:
        self.tenant = f"t{secrets.token_hex(8)}"
        rich(self.database, self.tenant, 0)
        self.balance = 0
        self.held: dict[str, int] = {}
        self.paid: set[tuple[str, str]] = set()

    @rule(amount=st.integers(-50, 100).filter(bool))
    def grant(self, amount: int) -> None:
        enough = amount > 0 or self.balance - sum(self.held.values()) + amount >= 0
        try:
            with self.database.writing() as connection:
                accounts.grant(connection, self.tenant, amount)
        except LedgerError:
            assert not enough
        else:
            assert enough
            self.balance += amount

    @rule(
        target=tries,
        asked=st.lists(
            st.tuples(
                st.sampled_from(["", "o1", "o2"]),
                st.dictionaries(st.sampled_from(["tags", "ocr", "caption"]), st.integers(0, 9), min_size=1),
            ),
            min_size=1,
            max_size=4,
        ),
    )
    def reserve(self, asked: list[tuple[str, dict[str, int]]]) -> Any:
        asks = [
            Ask(self.tenant, "k1", prices, 60, f"{self.tenant} {operation}" if operation else "")
            for operation, prices in asked
        ]
        free = self.balance - sum(self.held.values())
        prices = [sum(p for task, p in a.prices.items() if (a.operation, task) not in self.paid) for a in asks]
        made = []
        for price, each in zip(prices, reserve(self.database, *asks), strict=True):
            if price and price > free:
                assert isinstance(each, CreditsReservedError if self.balance >= price else UnpaidError)
            else:
                assert each.amount == price
                free -= price
                made.append(each)
                if price:
                    self.held[each.id] = price
        return multiple(*made)

    @rule(reservation=tries, succeeded=st.sets(st.sampled_from(["tags", "ocr", "caption"])))
    def settle(self, reservation: Reservation, succeeded: set[str]) -> None:
        """Also one that has been settled, or swept, before."""
        charges = {task: price for task, price in reservation.ask.prices.items() if task in succeeded}
        settle(self.database, (reservation, charges))
        self.held.pop(reservation.id, None)
        for task, price in charges.items():
            if (reservation.operation, task) not in self.paid:
                self.paid.add((reservation.operation, task))
                self.balance -= price

    @rule(seconds=st.integers(62, 1000))
    def sweep(self, seconds: int) -> None:
        self.now[0] += seconds
        sweep(self.database)
        self.held.clear()

    @invariant()
    def adds_up(self) -> None:
        if hasattr(self, "tenant"):
            held = sum(self.held.values())
            assert account(self.database, self.tenant) == Account(self.tenant, self.balance, held, postpaid=False)


def test_whatever_happens_the_balance_is_the_sum_of_the_entries(
    database: Database,
    clock: list[float],  # noqa: F811
) -> None:
    made: Callable[[], RuleBasedStateMachine] = type("These", (Books,), {"database": database, "now": clock})
    run_state_machine_as_test(
        made,
        settings=settings(max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=[*HealthCheck]),
    )
    with database.reading() as connection:
        assert accounts.faults(connection) == []
        assert {entry.kind for entry in connection.execute(entries.select())} <= set(Kind)
