# SPDX-License-Identifier: Apache-2.0
"""What was measured of the tagger: how sure it is when it says so, and from which score on it is worth a tag."""

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
    threshold. `gathered`: a wider word of which nothing narrower is above the threshold must lie this share of the way from
    the threshold to 1. `clear`: the best of several alternatives is shown if it has this share of their wider word's score;
    otherwise only that word is.
    """

    temperature: float
    min_score: float
    gathered: float
    clear: float

    @classmethod
    def load(cls, assets: Path) -> Calibration:
        """Reads `calibration.json`, which says what it was fitted on as well."""
        read = json.loads((assets / "calibration.json").read_text(encoding="utf-8"))
        return cls(read["temperature"], read["min_score"], read["gathered"], read["clear"])

    def sharpen(self, probabilities: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The model's probabilities (..., classes) as they are with that temperature: p^(1/T), sums made 1 again."""
        # In double precision: a single-precision probability to the power of two would vanish.
        powers = np.asarray(probabilities, np.float64) ** (1 / self.temperature)
        return np.asarray(powers / powers.sum(-1, keepdims=True))
