# SPDX-License-Identifier: Apache-2.0
"""One server with keys for all tests of a module, as programs meet it that were made for another service.

Behind it a scripted Triton sees a tabby in every picture, and reads what is red or blue.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing

import httpx2
import pytest
import pytest_asyncio
from imagier_server.ledger import keys
from imagier_server.ledger.database import Database
from imagier_server.ledger.keys import Wish
from support.fake_triton import FakeTriton, serving
from support.running_gateway import Gateway, gateway
from support.site import file_of, reading_repository, reading_triton, scene

Keys = Callable[..., str]


@pytest.fixture(scope="module")
def triton() -> FakeTriton:
    return reading_triton()


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with closing(Database(str(tmp_path_factory.mktemp("ledger") / "ledger.db"))) as made:
        made.migrate()
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    triton: FakeTriton, ledger: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    repository = reading_repository(tmp_path_factory.mktemp("repository"))
    settings = {"http_facades": "azure,mt-photos", "ledger": ledger.where}
    fetching = {"http_fetch": True, "http_fetch_plain": True, "http_fetch_networks": "127.0.0.1/32"}
    async with serving(triton) as port, gateway(repository, port, 0, **settings, **fetching) as running:
        await running.until(ready=True)
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def http(running: Gateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=running.http, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def new_key(ledger: Database) -> Keys:
    """A key of a tenant with so many credits."""

    def make(tenant: str = "library", allowance: int = 100) -> str:
        with ledger.writing() as connection:
            return keys.create(connection, Wish(tenant, ("tasks",), allowance=allowance))[1]

    return make


@pytest.fixture(scope="module")
def key(new_key: Keys) -> str:
    return new_key()


@pytest.fixture(scope="session")
def page() -> bytes:
    """A PNG file with a level line of text, and one that rises."""
    return file_of(scene())
