# SPDX-License-Identifier: Apache-2.0
"""A gateway's HTTP door before a scripted Triton: one for a whole module of tests, or, if a test changes it, one of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2 as httpx
import pytest
import pytest_asyncio
from support.fake_triton import FakeTriton, serving
from support.running_gateway import Gateway, gateway
from support.scripted_models import scripted_triton, write_repository


@pytest.fixture
async def http(running: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=running.http, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def shared_fake() -> FakeTriton:
    return scripted_triton()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(shared_fake: FakeTriton, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    repository: Path = write_repository(tmp_path_factory.mktemp("models"))
    async with serving(shared_fake) as engine, gateway(repository, engine, 0) as running:
        await running.until(ready=True)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(shared: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=shared.http, trust_env=False, timeout=30) as client:
        yield client
