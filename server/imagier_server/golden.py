# SPDX-License-Identifier: Apache-2.0
"""Golden answers: what a model must answer to known inputs, wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from imagier_server.messages import Tensors

SAME: Final = 0.999
"""The least cosine between an answer and the golden one: far below what another precision or device changes, far above another
model's."""


@dataclass(frozen=True, slots=True)
class Golden:
    """Inputs of a model, and what it must answer in `output`: `expected`, a row for each of theirs."""

    inputs: Tensors
    output: str
    expected: npt.NDArray[np.float32]

    def agrees(self, outputs: Tensors) -> bool:
        """Whether every row points the same way as the expected one."""
        found = outputs.get(self.output)
        if found is None or found.shape != self.expected.shape:
            return False
        rows = np.asarray(found, np.float64)
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(self.expected, axis=1)
        # Zero by zero is NaN, which is less than nothing.
        with np.errstate(invalid="ignore", divide="ignore"):
            return bool(((rows * self.expected).sum(axis=1) / lengths >= SAME).all())
