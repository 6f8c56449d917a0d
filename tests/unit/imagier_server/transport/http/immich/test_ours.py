# SPDX-License-Identifier: Apache-2.0
"""Which tasks of a request are ours. Their answers: integration/http/test_immich.py."""

from __future__ import annotations

import json

import pytest
from imagier_server.errors import InvalidRequestError
from imagier_server.tasks.embedding.values import SpaceInfo
from imagier_server.transport.http.immich.entries import ModelTask, read
from imagier_server.transport.http.immich.ours import answer, served
from support.native_immich import CLIP, FACES, OCR

ALL = read(json.dumps({**OCR, **FACES, **CLIP}))
SPACE = SpaceInfo("concept-512", 512)


@pytest.mark.parametrize(
    ("space", "relayed", "ours"),
    [(SPACE, False, {ModelTask.OCR, ModelTask.CLIP}), (SPACE, True, {ModelTask.OCR}), (None, False, {ModelTask.OCR})],
)
def test_faces_never_and_vectors_if_there_are_any(space: SpaceInfo | None, relayed: bool, ours: set[ModelTask]) -> None:
    assert set(served(ALL, space, relayed)) == ours


async def test_a_text_is_for_the_textual_model_only() -> None:
    for entries in (OCR, CLIP, {**OCR, "clip": {"textual": {"modelName": "ViT-B-32__openai"}}}):
        with pytest.raises(InvalidRequestError, match="needs an image"):
            await answer(read(json.dumps(entries)), {"text": "a cat"}, None, None)  # type: ignore[arg-type]


async def test_an_image_is_for_all_others() -> None:
    """Image wins if both are given, and Immich's own server fails then."""
    entries = read('{"clip": {"textual": {"modelName": "ViT-B-32__openai"}}}')
    with pytest.raises(InvalidRequestError, match="needs a text") as refused:
        await answer(entries, {"image": b"x"}, None, None)  # type: ignore[arg-type]
    assert refused.value.field == "clip.textual"
