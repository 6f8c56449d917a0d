# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from imagier_server.tasks.tags.calibration import Calibration

ASSETS = Path(__file__).parents[5] / "model_repository" / "tagger" / "assets"


def calibration(temperature: float) -> Calibration:
    return Calibration(temperature, min_score=0.5, gathered=0.0, clear=0.5)


@pytest.mark.parametrize("temperature", [0.3, 0.62, 1.0, 2.5])
def test_sharpening_probabilities_is_dividing_logits(temperature: float) -> None:
    logits = np.random.default_rng(0).normal(0, 5, (4, 1000))
    expected = np.exp(logits / temperature)
    expected /= expected.sum(-1, keepdims=True)
    plain = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    assert calibration(temperature).sharpen(plain) == pytest.approx(expected, rel=1e-9)


def test_the_order_stays_and_sums_are_one() -> None:
    raw = np.float32([[0.5, 0.3, 0.2, 0.0]])
    sharpened = calibration(0.5).sharpen(raw)
    assert sharpened.argsort().tolist() == raw.argsort().tolist()
    assert sharpened.sum() == pytest.approx(1)
    assert sharpened[0, 0] > 0.5


def test_small_probabilities_do_not_vanish() -> None:
    assert calibration(0.5).sharpen(np.float32([1.0, 1e-30]))[1] == pytest.approx(1e-60)


def test_the_models_own_file_is_within_reason_and_says_where_it_comes_from() -> None:
    ours = Calibration.load(ASSETS)
    assert 0.3 < ours.temperature < 1.5
    assert 0 < ours.min_score < 1
    assert 0 <= ours.gathered < 1
    assert 0.5 < ours.clear < 1, "more than half, so that no two alternatives can both have it"
    written = json.loads((ASSETS / "calibration.json").read_text("utf-8"))
    assert {"fitted_on", "measured_by", "weights", "date"} <= written.keys()
    config = (ASSETS.parent / "config.pbtxt").read_text("utf-8")
    assert f'"{written["weights"]}"' in config, "measured of other weights than these"
