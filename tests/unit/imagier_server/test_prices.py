# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path

import pytest
from imagier_server.prices import MAX_PRICE, PricesError, read_prices

TASKS = ("tags", "ocr", "caption")


@pytest.mark.parametrize(
    ("name", "content", "prices"),
    [
        (
            "p.toml",
            f"# credits\ntags = 0\nocr = 2\ncaption = {MAX_PRICE}\n",
            {"tags": 0, "ocr": 2, "caption": MAX_PRICE},
        ),
        ("p.json", '{"ocr": 2}', {"ocr": 2}),
        ("prices", "", {}),
    ],
)
def test_prices_by_task(tmp_path: Path, name: str, content: str, prices: dict[str, int]) -> None:
    (tmp_path / name).write_text(content)
    assert read_prices(tmp_path / name, TASKS) == prices


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("p.toml", "ocr = -1", "the price of ocr"),
        ("p.toml", f"ocr = {MAX_PRICE + 1}", "the price of ocr"),
        ("p.toml", "ocr = 99999999999999999999999", "the price of ocr"),
        ("p.toml", "ocr = 1.5", "a whole number"),
        ("p.toml", "ocr = nan", "a whole number"),
        ("p.toml", "ocr = true", "a whole number"),
        ("p.toml", 'ocr = "2"', "a whole number"),
        ("p.toml", "[ocr]\nprice = 2", "a whole number"),
        ("p.toml", "text = 1", "no task 'text'; the tasks are caption, ocr, tags"),
        ("p.toml", "ocr = 1\nocr = 2", "cannot be parsed"),
        ("p.toml", "ocr: 2", "cannot be parsed"),
        ("p.json", '{"ocr": 1, "ocr": 2}', "a task is named twice"),
        ("p.json", '["ocr"]', "must give each task a price"),
        ("p.json", "ocr = 2", "cannot be parsed"),
        ("p.json", "\xff", "cannot be parsed"),
    ],
)
def test_what_is_no_price_is_refused(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(PricesError, match=said) as raised:
        read_prices(tmp_path / name, TASKS)
    assert str(tmp_path / name) in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PricesError, match="cannot be read"):
        read_prices(tmp_path / "away.toml", TASKS)
