# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from imagier.v1 import account_pb2
from imagier_client.account import (
    Balance,
    DailyUsage,
    Quote,
    charged_once,
    decode_balance,
    decode_quote,
    decode_usage,
    metadata,
    usage_request,
)
from imagier_client.errors import InvalidRequestError


def test_a_key_is_sent_as_a_bearer_and_retries_share_an_idempotency_key() -> None:
    sent = metadata("img_1_a")
    assert sent == (("authorization", "Bearer img_1_a"),)
    one, another = charged_once(sent), charged_once(sent)
    assert one[0] == sent[0]
    assert one[1][0] == another[1][0] == "idempotency-key"
    assert one[1][1] != another[1][1]
    assert metadata(None) == charged_once(()) == ()


@pytest.mark.parametrize("wrong", ["", "two\nlines", "é", "\x00", "x" * 5000, 5])
def test_what_cannot_be_a_key_is_refused_before_anything_is_sent(wrong: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        metadata(wrong)
    assert caught.value.field == "key"


def test_answers_are_values() -> None:
    balance = account_pb2.GetBalanceResponse(tenant="library", balance=7, reserved=2, available=5)
    assert decode_balance(balance) == Balance("library", 7, 2, 5, postpaid=False)
    usage = account_pb2.DailyUsage(day="2026-11-29", task="tags", pictures=3, credits=6)
    assert decode_usage(account_pb2.ListUsageResponse(usage=[usage])) == (DailyUsage(date(2026, 11, 29), "tags", 3, 6),)
    quote = account_pb2.QuoteAnnotateResponse(tasks=[account_pb2.TaskQuote(task="tags", price=2)], credits=4)
    assert decode_quote(quote) == Quote({"tags": 2}, 4, sufficient=False)


def test_days_travel_as_text() -> None:
    request = usage_request(date(2026, 11, 1), None, "archive")
    assert (request.first_day, request.last_day, request.tenant) == ("2026-11-01", "", "archive")
