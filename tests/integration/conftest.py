# SPDX-License-Identifier: Apache-2.0
"""A gateway before a scripted Triton, and clients before a scripted gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support import scripted_annotator
from support.both_clients import Asynchronous, Blocking, Kind
from support.fake_triton import FakeTriton, serving
from support.running_gateway import Gateway, gateway
from support.scripted_annotator import Scripted
from support.scripted_models import scripted_triton, write_repository


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write_repository(tmp_path)


@pytest.fixture
def fake() -> FakeTriton:
    return scripted_triton()


@pytest.fixture
async def running(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> AsyncIterator[Gateway]:
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port) as running:
        await running.until(ready=True)
        yield running


@pytest.fixture(params=[Asynchronous, Blocking], ids=["async", "blocking"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture
def script() -> Scripted:
    return Scripted()


@pytest.fixture
async def target(script: Scripted) -> AsyncIterator[str]:
    async with scripted_annotator.serving(script) as address:
        yield address


@pytest.fixture
async def client(kind: Kind, target: str) -> AsyncIterator[Any]:
    async with kind(target) as made:
        yield made
