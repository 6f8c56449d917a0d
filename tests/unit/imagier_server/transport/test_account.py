# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from imagier.v1 import account_pb2
from imagier_server.messages import Account, Quote, Use
from imagier_server.transport.account import to_balance, to_quote, to_usage


def test_each_value_has_its_message() -> None:
    assert to_balance(Account("library", 7, 2, postpaid=True)) == account_pb2.GetBalanceResponse(
        tenant="library", balance=7, reserved=2, available=5, postpaid=True
    )
    assert to_usage([Use(20786 * 86_400, "tags", 3, 6)]).usage[0] == account_pb2.DailyUsage(
        day="2026-11-29", task="tags", pictures=3, credits=6
    )
    assert to_quote(Quote({"tags": 2}, 6, sufficient=True)) == account_pb2.QuoteAnnotateResponse(
        tasks=[account_pb2.TaskQuote(task="tags", price=2)], credits=6, sufficient=True
    )
