# SPDX-License-Identifier: Apache-2.0
"""A gateway that takes small pictures only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.fake_triton import FakeTriton, serving
from support.running_gateway import Gateway, gateway
from support.series import LIMIT


@pytest.fixture
async def small(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> AsyncIterator[Gateway]:
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port, max_image_bytes=LIMIT) as running:
        await running.until(ready=True)
        yield running
