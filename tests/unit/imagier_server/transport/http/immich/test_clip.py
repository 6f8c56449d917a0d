# SPDX-License-Identifier: Apache-2.0
"""Which vectors Immich gets by which model's name (immich 3.2.4), and how they are written."""

from __future__ import annotations

import json

import numpy as np
import pytest
from imagier_server.tasks.embedding.values import Encoding, SpaceInfo, Vector
from imagier_server.transport.http.immich import clip
from imagier_server.transport.http.immich.entries import Model, ModelType

CONCEPTS = SpaceInfo("concept-512", 512)
VISUAL, TEXTUAL = ModelType.VISUAL, ModelType.TEXTUAL


@pytest.mark.parametrize("kind", [VISUAL, TEXTUAL])
@pytest.mark.parametrize(
    ("name", "relayed", "ours"),
    [
        ("ViT-B-32__openai", False, True),
        ("ViT-B-32__openai", True, False),  # a native Immich has that very model
        ("ViT-L-14__openai", False, False),
        ("concept-512", True, True),
        ("immich-app/concept-512", True, True),
        ("unknown", False, False),
    ],
)
def test_the_size_must_be_right_and_the_very_model_goes_first(
    kind: ModelType, name: str, relayed: bool, ours: bool
) -> None:
    assert clip.is_ours({kind: Model(modelName=name)}, CONCEPTS, relayed) is ours


def test_without_vectors_and_for_other_types_nothing_is_ours() -> None:
    model = Model(modelName="ViT-B-32__openai")
    assert not clip.is_ours({VISUAL: model}, None, relayed=False)
    assert not clip.is_ours({VISUAL: model, TEXTUAL: model}, CONCEPTS, relayed=False)
    assert not clip.is_ours({ModelType.DETECTION: model}, CONCEPTS, relayed=False)


def test_a_refusal_says_both_sizes() -> None:
    asked = {VISUAL: Model(modelName="ViT-L-14__openai")}
    assert "512 numbers, not the 768 of the model asked for" in clip.refusal(asked, CONCEPTS).text
    assert "it has no vectors" in clip.refusal(asked, None).text
    assert "512 numbers:" in clip.refusal({VISUAL: Model(modelName="unknown")}, CONCEPTS).text


def test_a_vector_is_a_string_that_holds_json() -> None:
    numbers = np.array([0.1, -1e-7, 1, 0.33333334], np.float32)
    text = clip.written(Vector(Encoding.FLOAT32, tuple(numbers.tolist())))
    assert text == "[0.1,-1e-07,1.0,0.33333334]"
    assert (np.array(json.loads(text), np.float32) == numbers).all()
