# SPDX-License-Identifier: Apache-2.0
"""How commands end, and what their arguments share."""

from __future__ import annotations

import pytest
from imagier_client.command import INTERRUPTED, listed, run


async def end(outcome: int | BaseException) -> int:
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


@pytest.mark.parametrize(("outcome", "status"), [(0, 0), (3, 3), (KeyboardInterrupt(), INTERRUPTED)])
def test_a_command_ends_with_its_status(outcome: int | BaseException, status: int) -> None:
    assert run(end(outcome)) == status


def test_a_fault_is_no_status() -> None:
    with pytest.raises(ZeroDivisionError):
        run(end(ZeroDivisionError()))


@pytest.mark.parametrize(
    ("argument", "parts"), [("", ()), (",", ()), ("en", ("en",)), (" en , fr,", ("en", "fr")), ("a b", ("a b",))]
)
def test_lists(argument: str, parts: tuple[str, ...]) -> None:
    assert listed(argument) == parts
