# SPDX-License-Identifier: Apache-2.0
"""Renders accounts, usage and quotes as AccountService's responses."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from imagier.v1 import account_pb2

from imagier_server.messages import Account, Quote, Use


def to_balance(account: Account) -> account_pb2.GetBalanceResponse:
    """The response to GetBalance."""
    return account_pb2.GetBalanceResponse(
        tenant=account.tenant,
        balance=account.balance,
        reserved=account.reserved,
        available=account.available,
        postpaid=account.postpaid,
    )


def to_usage(used: Iterable[Use]) -> account_pb2.ListUsageResponse:
    """The response to ListUsage."""
    return account_pb2.ListUsageResponse(
        usage=[
            account_pb2.DailyUsage(
                day=datetime.fromtimestamp(use.day, UTC).date().isoformat(),
                task=use.task,
                pictures=use.pictures,
                credits=use.credits,
            )
            for use in used
        ]
    )


def to_quote(quote: Quote) -> account_pb2.QuoteAnnotateResponse:
    """The response to QuoteAnnotate."""
    tasks = [account_pb2.TaskQuote(task=task, price=price) for task, price in quote.prices.items()]
    return account_pb2.QuoteAnnotateResponse(tasks=tasks, credits=quote.total, sufficient=quote.sufficient)
