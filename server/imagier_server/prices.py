# SPDX-License-Identifier: Apache-2.0
"""Reads what a task costs from the operator's file."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from imagier_server.settings import UnusableFileError

MAX_PRICE = 1_000_000
"""Credits; the contract's sums have 32 bits."""


class PricesError(UnusableFileError):
    """A file of prices that cannot be used."""


def read_prices(path: Path | None, tasks: Collection[str]) -> dict[str, int]:
    """Credits by task: {"ocr": 2}, in TOML or, if so named, JSON; only those in the file. Raises `PricesError`."""
    if path is None:
        return {}
    try:
        content = path.read_bytes().decode("utf-8")
        found = json.loads(content, object_pairs_hook=_once) if path.suffix == ".json" else tomllib.loads(content)
    except OSError as error:
        raise PricesError(f"prices: {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise PricesError(f"prices: {path} cannot be parsed: {error}") from error
    if not isinstance(found, dict):
        raise PricesError(f"prices: {path} must give each task a price, as in: ocr = 2")
    for task, price in found.items():
        if task not in tasks:
            raise PricesError(f"prices: {path}: there is no task {task!r}; the tasks are {', '.join(sorted(tasks))}")
        if isinstance(price, bool) or not isinstance(price, int) or not 0 <= price <= MAX_PRICE:
            raise PricesError(f"prices: {path}: the price of {task} must be a whole number from 0 to {MAX_PRICE}")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """TOML refuses a repeated key; JSON would take the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a task is named twice")
    return found
