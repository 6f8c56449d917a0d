# SPDX-License-Identifier: Apache-2.0
"""Several scripted Tritons over real gRPC, whose clocks are short."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from imagier_server import triton
from imagier_server.engines import health_check, outlier_detection
from support.cluster import Cluster


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_check, "INTERVAL_SECONDS", 0.05)
    monkeypatch.setattr(outlier_detection, "FIRST_EJECTION_SECONDS", 0.05)
    monkeypatch.setattr(triton, "_CHECK_SECONDS", 0.5)


@pytest.fixture
async def cluster(unused_tcp_port: int) -> AsyncIterator[Cluster]:
    async with Cluster(unused_tcp_port) as made:
        yield made
