# SPDX-License-Identifier: Apache-2.0
"""An open load goes on when the server refuses."""

from __future__ import annotations

import asyncio
import runpy
from pathlib import Path

import pytest


def test_a_refused_request_has_no_latency() -> None:
    loads = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "loads.py"))

    async def refused() -> None:
        raise loads["RefusedError"]

    async def answered() -> None:
        pass

    sends = [answered, refused, answered]
    assert len(asyncio.run(loads["opened"](sends, [0.0, 0.001, 0.002]))) == 2


def test_another_failure_ends_it() -> None:
    loads = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "loads.py"))

    async def failed() -> None:
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        asyncio.run(loads["opened"]([failed], [0.0]))
