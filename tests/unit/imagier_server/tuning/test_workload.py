# SPDX-License-Identifier: Apache-2.0
"""Which requests stand for the others. Real models answer in tests/e2e/test_tune.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from imagier_server.golden import Asked
from imagier_server.model_lock import read_lock
from imagier_server.tasks import registry
from imagier_server.tuning.workload import MOST, needed, typical

REPOSITORY = Path(__file__).parents[4] / "model_repository"


def test_few_requests_from_the_smallest_to_the_largest_stand_for_all() -> None:
    asked = [Asked({"x": np.zeros((1, size))}, {}) for size in range(40, 0, -1)]
    sizes = [each.inputs["x"].shape[1] for each in typical(asked)]
    assert (sizes[0], sizes[-1], len(sizes)) == (1, 40, MOST)
    assert sizes == sorted(sizes)
    assert len(typical(asked[:3])) == 3


def test_only_what_finds_the_requests_of_a_model_has_to_run() -> None:
    installed = read_lock(REPOSITORY)
    ocr = registry.load(REPOSITORY)["ocr"].models  # further recognisers too
    assert needed(REPOSITORY, ["tagger", "text_embedder"], installed) == ["tagger", "text_embedder"]
    assert needed(REPOSITORY, ["text_recognizer"], installed) == sorted(ocr)
    assert needed(REPOSITORY, ["text_recognizer"], ["text_recognizer"]) == ["text_recognizer"]
