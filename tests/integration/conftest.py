# SPDX-License-Identifier: Apache-2.0
"""A gateway before a scripted Triton."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_captioner
import numpy as np
import pytest
from fake_triton import FakeTriton, locked, response, serving
from imagier_server.model_lock import LOCK_NAME, write_lock_text
from imagier_server.tasks import registry
from running_gateway import Gateway, gateway

TAGGER_ASSETS = Path(__file__).parents[2] / "model_repository" / "tagger" / "assets"
ROLES = tuple(dict.fromkeys(model for task in registry.TASKS for model in task.models))
TABBY = 281
LOCKED = {role: replace(locked(role), research_only=role == "captioner") for role in ROLES}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    shutil.copytree(TAGGER_ASSETS, tmp_path / "tagger" / "assets")
    charset = tmp_path / "text_recognizer" / "assets" / "charset.txt"
    charset.parent.mkdir(parents=True)
    charset.write_text("a\nb\n", encoding="utf-8")
    made_captioner.write_assets(tmp_path / "captioner" / "assets")
    (tmp_path / LOCK_NAME).write_text(write_lock_text(LOCKED), encoding="utf-8")
    return tmp_path


@pytest.fixture
def fake() -> FakeTriton:
    """Sees a tabby in every picture, and no text; says what a cat does."""
    scores = np.full((1, 1000), 0.1 / 999, np.float32)
    scores[0, TABBY] = 0.9

    async def tag(request: Any, context: Any) -> Any:
        return response(scores=scores)

    async def detect(request: Any, context: Any) -> Any:
        rows, height, width, _ = request.inputs[0].shape
        return response(probability=np.zeros((rows, height, width), np.uint8))

    async def caption(request: Any, context: Any) -> Any:
        return response(**made_captioner.said("a photo of a brown cat standing on a rock", "a cat in a hat"))

    return FakeTriton(LOCKED, set(ROLES), {"tagger": tag, "text_detector": detect, "captioner": caption})


@pytest.fixture
async def running(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> AsyncIterator[Gateway]:
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port) as running:
        await running.until(ready=True)
        yield running
