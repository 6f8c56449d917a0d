# SPDX-License-Identifier: Apache-2.0
"""One server for all tests of a module, as programs that speak to language models meet it.

Behind it a scripted Triton sees a tabby in every picture, a cat on a rock, and no text.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
import pytest_asyncio
from support.fake_triton import FakeTriton, serving
from support.running_gateway import Gateway, gateway, picture
from support.scripted_models import scripted_triton, write_repository

LARGEST = 1 << 20
"""Bytes of a picture file."""


@pytest.fixture(scope="module")
def shared_fake() -> FakeTriton:
    return scripted_triton()


@pytest.fixture
def fake(shared_fake: FakeTriton) -> Iterator[FakeTriton]:
    """What a test scripts is undone after it."""
    behaviours = dict(shared_fake.behaviours)
    yield shared_fake
    shared_fake.behaviours = behaviours


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(shared_fake: FakeTriton, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    repository = write_repository(tmp_path_factory.mktemp("repository"))
    async with (
        serving(shared_fake) as port,
        gateway(repository, port, 0, max_image_bytes=LARGEST) as running,
    ):
        await running.until(ready=True)
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def http(running: Gateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=running.http, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def too_large() -> str:
    return "A" * (LARGEST // 3 * 4 + 8)


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    return picture(size=(64, 64))


@pytest.fixture(scope="session")
def encoded(jpeg: bytes) -> str:
    return base64.b64encode(jpeg).decode()


@pytest.fixture(scope="session")
def data_url(encoded: str) -> str:
    return f"data:image/jpeg;base64,{encoded}"
