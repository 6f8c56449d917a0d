# SPDX-License-Identifier: Apache-2.0
"""Keys and accounts: what a call says of its caller, and what a tenant may see of its credits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final
from uuid import uuid4

from imagier.v1 import account_pb2

from imagier_client.errors import InvalidRequestError

_LONGEST: Final = 4096

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Balance:
    """A tenant's credits: `balance`, of which `reserved` for work in flight. `postpaid`: it may fall below 0."""

    tenant: str
    balance: int
    reserved: int
    available: int
    postpaid: bool


@dataclass(frozen=True, slots=True)
class DailyUsage:
    """What was used of one task on one day (UTC)."""

    day: date
    task: str
    pictures: int
    credits: int


@dataclass(frozen=True, slots=True)
class Quote:
    """What work would cost: credits by task for one picture, and for all; `sufficient`: whether the caller has them now."""

    prices: Mapping[str, int] = field(hash=False)
    credits: int
    sufficient: bool


def metadata(key: str | None) -> Metadata:
    """What each call sends with it. Raises InvalidRequestError for what cannot be a key."""
    if key is None:
        return ()
    if not isinstance(key, str) or not key.isascii() or not key.isprintable() or not 0 < len(key) <= _LONGEST:
        raise InvalidRequestError("a key is a text such as img_…, as the server's operator hands it out", field="key")
    return (("authorization", f"Bearer {key}"),)


def charged_once(every: Metadata) -> Metadata:
    """The metadata of all tries of one call: an idempotency key makes retries free. Nothing without a key."""
    return (*every, ("idempotency-key", uuid4().hex)) if every else ()


def usage_request(first: date | None, last: date | None, tenant: str) -> account_pb2.ListUsageRequest:
    """The request for what was used from one day to another, both included."""
    first_day, last_day = (day.isoformat() if day else "" for day in (first, last))
    return account_pb2.ListUsageRequest(tenant=tenant, first_day=first_day, last_day=last_day)


def decode_balance(message: account_pb2.GetBalanceResponse) -> Balance:
    """Converts a balance."""
    return Balance(message.tenant, message.balance, message.reserved, message.available, message.postpaid)


def decode_usage(message: account_pb2.ListUsageResponse) -> Sequence[DailyUsage]:
    """Converts what was used."""
    return tuple(DailyUsage(date.fromisoformat(use.day), use.task, use.pictures, use.credits) for use in message.usage)


def decode_quote(message: account_pb2.QuoteAnnotateResponse) -> Quote:
    """Converts a quote."""
    return Quote({quote.task: quote.price for quote in message.tasks}, message.credits, message.sufficient)
