# SPDX-License-Identifier: Apache-2.0
"""Health checks and ejections without their waits."""

from __future__ import annotations

import pytest
from imagier_server.engines import health_check, outlier_detection


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_check, "INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(outlier_detection, "FIRST_EJECTION_SECONDS", 0.01)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time for which a model is ejected goes by this."""
    time = [1000.0]
    monkeypatch.setattr(outlier_detection, "_now", lambda: time[0])
    return time
