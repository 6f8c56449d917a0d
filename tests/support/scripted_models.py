# SPDX-License-Identifier: Apache-2.0
"""A model repository without weights, and a scripted Triton that answers for each of its models."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from imagier_server.model_lock import LOCK_NAME, write_lock_text
from imagier_server.tasks import registry

from support import made_captioner, made_embedder
from support.fake_triton import FakeTriton, locked, response

TAGGER_ASSETS = Path(__file__).parents[2] / "model_repository" / "tagger" / "assets"
ROLES = tuple(dict.fromkeys(model for task in registry.tasks() for model in task.models))
TABBY = 281
LOCKED = {role: replace(locked(role), research_only=role == "captioner") for role in ROLES}


def write_repository(folder: Path) -> Path:
    """The assets of every model, and the lock; returns the folder."""
    shutil.copytree(TAGGER_ASSETS, folder / "tagger" / "assets")
    charset = folder / "text_recognizer" / "assets" / "charset.txt"
    charset.parent.mkdir(parents=True)
    charset.write_text("a\nb\n", encoding="utf-8")
    made_captioner.write_assets(folder / "captioner" / "assets")
    made_embedder.write_assets(folder / "text_embedder" / "assets", LOCKED["tagger"].source_digest)
    (folder / LOCK_NAME).write_text(write_lock_text(LOCKED), encoding="utf-8")
    return folder


def scripted_triton() -> FakeTriton:
    """Sees a tabby in every picture, and no text; says what a cat does, and counts the words of texts."""
    scores = np.full((1, 1000), 0.1 / 999, np.float32)
    scores[0, TABBY] = 0.9

    async def tag(request: Any, context: Any) -> Any:
        return response(scores=scores)

    async def detect(request: Any, context: Any) -> Any:
        rows, height, width, _ = request.inputs[0].shape
        return response(probability=np.zeros((rows, height, width), np.uint8))

    async def caption(request: Any, context: Any) -> Any:
        return response(**made_captioner.said("a photo of a brown cat standing on a rock", "a cat in a hat"))

    async def embed(request: Any, context: Any) -> Any:
        tokens = np.frombuffer(request.raw_input_contents[0], np.int64).reshape(tuple(request.inputs[0].shape))
        return response(vector=made_embedder.embedded(tokens))

    behaviours = {"tagger": tag, "text_detector": detect, "captioner": caption, "text_embedder": embed}
    return FakeTriton(LOCKED, set(ROLES), behaviours)
