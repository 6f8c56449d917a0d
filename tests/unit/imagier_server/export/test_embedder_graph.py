# SPDX-License-Identifier: Apache-2.0
"""The exported graphs have the vectors of transformers' networks, alone and in a batch, however short the texts."""

from __future__ import annotations

import numpy as np
import pytest
from imagier_server.export.comparison import run, session
from imagier_server.export.embedder_graph import build_image_embedder, build_text_embedder
from imagier_server.export.embedder_models import SAME, drawn
from imagier_server.export.embedders import read_image_tower
from PIL import Image
from support.tiny_embedders import SIDE, TEXTS, rows


# CLIP's graphs are compared when they are installed (test_embedder_models.py). Each export takes seconds.
@pytest.mark.parametrize("family", ["siglip", "chinese_clip", "multilingual_clip"])
def test_texts_have_the_vectors_of_transformers(family, text_tower):
    text = text_tower(family)
    runtime = session(build_text_embedder(text.network, text.context, whole=text.whole).SerializeToString())
    for words in TEXTS:
        vector = text.source(words)[1].numpy()
        for row in rows(text, text.tokenizer.encode(words).ids):
            for batch in (1, 3):
                found = run(runtime, {"tokens": np.array([row] * batch, np.int64)})["vector"]
                assert found.shape == (batch, len(vector))
                assert found[-1] @ vector >= SAME


def test_pictures_have_the_vectors_of_transformers(checkpoint):
    image = read_image_tower(checkpoint("siglip"))
    runtime = session(build_image_embedder(image.network, image.size).SerializeToString())
    pixels = drawn(SIDE)
    # Already of the network's size: transformers' processor leaves the pixels as they are.
    expected = np.stack([image.source(Image.fromarray(picture)).numpy() for picture in pixels])
    for batch in (pixels, pixels[:1]):
        found = run(runtime, {"pixels": batch})["vector"]
        assert (found * expected[: len(batch)]).sum(1).min() >= SAME
    assert abs(expected[0] @ expected[1]) < SAME, "the vectors tell pictures apart"
