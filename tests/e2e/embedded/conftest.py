# SPDX-License-Identifier: Apache-2.0
"""A repository with one tiny model, and a name of our own in shared memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from imagier_server.embedded import scratch
from imagier_server.embedded.scratch import SHARED_MEMORY
from support.tiny_models import (
    add_one,
    install,
)


@pytest.fixture
def repository(tmp_path) -> Path:
    install(tmp_path / "models", "add_one", add_one(), instances=2)
    return tmp_path / "models"


@pytest.fixture(autouse=True)
def prefix(monkeypatch) -> Iterator[str]:
    """A name of our own in shared memory, so that no test may leave anything there, nor any process of Triton."""
    name = f"imagier-test-{os.getpid()}-"
    monkeypatch.setattr(scratch, "PREFIX", name)
    others = set(psutil.Process().children())  # the server that other tests share
    yield name
    assert set(psutil.Process().children()) <= others
    assert not list(SHARED_MEMORY.glob(f"{name}*"))
