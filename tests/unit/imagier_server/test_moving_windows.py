# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from imagier_server.moving_windows import checked, parse


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("500 per 4 h", [(500, 14_400)]),
        ("500 per 4 hours", [(500, 14_400)]),
        ("500/4h", [(500, 14_400)]),
        ("10 per second; 500 per 4 hours", [(10, 1), (500, 14_400)]),
        ("1 per 30 s", [(1, 30)]),
        ("20 per 5 min", [(20, 300)]),
        ("1000/day", [(1000, 86_400)]),
        ("1000 per 1 d", [(1000, 86_400)]),
    ],
)
def test_a_quota_is_written_as_it_is_said(text: str, windows: list[tuple[int, int]]) -> None:
    assert [(window.amount, window.get_expiry()) for window in parse(text)] == windows
    assert checked(text) == text


@pytest.mark.parametrize(
    "text", ["", "many", "500", "500 per", "500 per 4", "500 per fortnight", "-5 per hour", "5 hours"]
)
def test_anything_else_is_told_how_to_write_it(text: str) -> None:
    with pytest.raises(ValueError, match="such as"):
        parse(text)


@pytest.mark.parametrize("text", ["0 per hour", "1000001 per day"])
def test_a_quota_has_bounds(text: str) -> None:
    with pytest.raises(ValueError, match="from 1 to 1000000"):
        checked(text)
    assert checked(None) is None
