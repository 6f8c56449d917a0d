# SPDX-License-Identifier: Apache-2.0
"""When two answers are as good, and which requests stand for the others. Real models answer in tests/e2e/test_tune.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from imagier_server.messages import Tensor
from imagier_server.model_lock import read_lock
from imagier_server.tasks import registry
from imagier_server.tuning.workload import MOST, Asked, needed, typical

REPOSITORY = Path(__file__).parents[4] / "model_repository"
SCORES = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], np.float32)
TOKENS = np.array([[3, 1, 4], [1, 5, 9]], np.int32)
LEVELS = np.arange(200, dtype=np.uint8).reshape(1, 10, 20)


@pytest.mark.parametrize(
    ("expected", "found", "agrees"),
    [
        (SCORES, SCORES + 1e-4, True),
        (SCORES, SCORES[:, ::-1].copy(), False),
        (SCORES, SCORES * 2, False),
        (SCORES, SCORES[:1], False),
        (np.array([[0.51, 0.49]], np.float32), np.array([[0.49, 0.51]], np.float32), False),  # another class is best
        (np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32), True),
        (TOKENS, TOKENS.copy(), True),
        (TOKENS, TOKENS + np.array([0, 0, 1], np.int32), False),
        (LEVELS, LEVELS + (LEVELS % 4 == 0), True),
        (LEVELS, LEVELS + 1, False),
        (LEVELS, LEVELS.astype(np.int32), False),
    ],
)
def test_answers_agree_but_for_rounding(expected: Tensor, found: Tensor, agrees: bool) -> None:
    assert Asked({}, {"out": expected}).agrees({"out": found}) is agrees


def test_every_output_must_be_there() -> None:
    assert not Asked({}, {"out": SCORES}).agrees({})
    assert not Asked({}, {"out": SCORES}).agrees({"out": SCORES, "more": SCORES})


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
