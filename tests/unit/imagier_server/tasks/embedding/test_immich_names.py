# SPDX-License-Identifier: Apache-2.0
"""How many numbers Immich expects by a model's name."""

from __future__ import annotations

import pytest
from imagier_server.tasks.embedding.immich_names import DIMENSIONS


@pytest.mark.parametrize(
    ("name", "dimension"),
    [
        ("ViT-B-32__openai", 512),
        ("XLM-Roberta-Large-Vit-B-32", 512),
        ("RN50x4__openai", 640),
        ("XLM-Roberta-Large-Vit-B-16Plus", 640),
        ("ViT-L-14__openai", 768),
        ("ViT-B-16-SigLIP2__webli", 768),
        ("nllb-clip-base-siglip__v1", 768),
        ("ViT-H-14__laion2b-s32b-b79k", 1024),
        ("ViT-L-16-SigLIP2-512__webli", 1024),
        ("ViT-SO400M-16-SigLIP2-384__webli", 1152),
        ("nllb-clip-large-siglip__v1", 1152),
        ("ViT-gopt-16-SigLIP2-384__webli", 1536),
    ],
)
def test_a_name_has_the_dimension_that_immich_makes_its_column_of(name: str, dimension: int) -> None:
    assert DIMENSIONS[name] == dimension
