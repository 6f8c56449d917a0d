# SPDX-License-Identifier: Apache-2.0
"""Schemathesis looks for answers of /v1, on a server with accounts, that its OpenAPI document does not allow, and finds none."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import closing
from pathlib import Path

from imagier_server.ledger import keys
from imagier_server.ledger.database import Database
from imagier_server.ledger.keys import Wish
from support.fake_triton import serving
from support.running_gateway import gateway
from support.scripted_models import scripted_triton, write_repository

TESTS = Path(__file__).parents[1]


def key(ledger: str) -> str:
    """A key for much work and for other tenants' accounts."""
    with closing(Database(ledger)) as database:
        database.migrate()
        with database.writing() as connection:
            return keys.create(connection, Wish("library", ("tasks", "admin"), allowance=1_000_000))[1]


async def test_it_finds_nothing(tmp_path: Path) -> None:
    ledger = str(tmp_path / "ledger.db")
    authorization = f"authorization: Bearer {key(ledger)}"
    async with (
        serving(scripted_triton()) as engine,
        gateway(write_repository(tmp_path / "models"), engine, 0, ledger=ledger) as running,
    ):
        await running.until(ready=True)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{running.http}/openapi.json", "--no-color"),
            *("--max-examples", "100", "--seed", "1", "--header", authorization),
            # No document can say which strings are pictures.
            *("--exclude-checks", "positive_data_acceptance"),
            cwd=tmp_path,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "support.schemathesis_pictures", "PYTHONPATH": str(TESTS)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    assert b"No issues found" in out
