# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from imagier_server.tasks.embedding.concepts import Concepts

VECTORS = np.eye(4, dtype=np.float32)


def test_the_best_are_weighed_by_their_probabilities_and_the_rest_left_out() -> None:
    found = Concepts(VECTORS, best=2).finish({"scores": np.array([[0.1, 0.4, 0.3, 0.2]], np.float32)})
    assert found.shape == (1, 4)
    assert found[0] == pytest.approx([0, 0.8, 0.6, 0])


def test_the_crops_of_a_panorama_count_alike() -> None:
    scores = np.array([[1, 0, 0, 0], [0, 0, 0, 1]], np.float32)
    assert Concepts(VECTORS, best=2).finish({"scores": scores})[0] == pytest.approx([0.5**0.5, 0, 0, 0.5**0.5])
