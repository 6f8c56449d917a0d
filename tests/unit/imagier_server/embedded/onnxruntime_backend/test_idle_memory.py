# SPDX-License-Identifier: Apache-2.0
"""Memory that is used, and then is not: given back once, and again after it was used again."""

from __future__ import annotations

import queue
from collections.abc import Iterator

import pytest
from imagier_server.embedded.onnxruntime_backend import idle_memory
from imagier_server.embedded.onnxruntime_backend.idle_memory import IdleMemory

PATIENCE_SECONDS = 60.0


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Iterator[queue.Queue[str]]:
    monkeypatch.setattr(idle_memory, "IDLE_SECONDS", 0.01)
    found: queue.Queue[str] = queue.Queue(10)
    yield found
    assert found.empty()


def test_it_is_given_back_once_after_each_use(given: queue.Queue[str]) -> None:
    memory = IdleMemory(lambda: given.put("back"))
    for _ in range(2):
        memory.used()
        assert given.get(timeout=PATIENCE_SECONDS) == "back"


def test_what_was_never_used_is_left_alone(given: queue.Queue[str]) -> None:
    IdleMemory(lambda: given.put("never"))
    IdleMemory(lambda: given.put("back")).used()
    assert given.get(timeout=PATIENCE_SECONDS) == "back"


def test_while_it_is_used_it_is_kept(monkeypatch: pytest.MonkeyPatch, given: queue.Queue[str]) -> None:
    monkeypatch.setattr(idle_memory, "IDLE_SECONDS", PATIENCE_SECONDS)
    memory = IdleMemory(lambda: given.put("back"))
    for _ in range(100):
        memory.used()
