# SPDX-License-Identifier: Apache-2.0
"""The tagger's calibration: temperature and thresholds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Calibration:
    """`calibration.json` beside the labels, fitted by benchmarks/tags_calibration.py; it belongs to one set of weights.

    `temperature` divides the logits (Guo et al. 2017, On Calibration of Modern Neural Networks). `min_score` is the default
    threshold. `gathered`: a parent without a child above the threshold must lie this share of the way from the threshold
    to 1. `clear`: the best of several alternatives is kept if it has this share of their parent's score; otherwise only the
    parent is.
    """

    temperature: float
    min_score: float
    gathered: float
    clear: float

    @classmethod
    def load(cls, assets: Path) -> Calibration:
        """Read `calibration.json`."""
        read = json.loads((assets / "calibration.json").read_text(encoding="utf-8"))
        return cls(read["temperature"], read["min_score"], read["gathered"], read["clear"])

    def sharpen(self, probabilities: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Apply the temperature to the model's probabilities (..., classes): p^(1/T), normalised."""
        # In double precision: a squared single-precision probability would underflow.
        powers = np.asarray(probabilities, np.float64) ** (1 / self.temperature)
        return np.asarray(powers / powers.sum(-1, keepdims=True))
