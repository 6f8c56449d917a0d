# SPDX-License-Identifier: Apache-2.0
"""Labels that a caller teaches by examples: a linear classifier in closed form, and the bytes that it travels in. Pure."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from imagier_server.errors import InvalidRequestError
from imagier_server.tasks.embedding.values import Vectors

MAX_TAUGHT: Final = 100
MIN_EXAMPLES: Final = 2
MAX_EXAMPLES: Final = 1000
_MAGIC: Final = b"IMTL\x01"
"""The last byte is the version of the format and of what the numbers mean."""
_HEAD: Final = struct.Struct("<5sBHH3f")
_CHECK: Final = struct.Struct("<I")
_RIDGES: Final = (0.03, 0.1, 0.3, 1.0, 3.0)
_STEPS: Final = 50

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Taught:
    """A label of a space: the logit of a vector v is slope * (weights @ v + bias) + intercept."""

    label: str
    space: str
    weights: Vectors
    bias: float
    slope: float
    intercept: float

    def score(self, vector: Vectors) -> float:
        """The probability that a picture with this vector has the label."""
        logit = self.slope * (float(self.weights @ vector) + self.bias) + self.intercept
        return float(1 / (1 + np.exp(-np.clip(logit, -60, 60))))

    def packed(self) -> bytes:
        """As bytes, with a check sum."""
        space, label = self.space.encode(), self.label.encode()
        head = _HEAD.pack(_MAGIC, len(space), len(label), len(self.weights), self.bias, self.slope, self.intercept)
        content = head + space + label + self.weights.astype("<f4").tobytes()
        return content + _CHECK.pack(zlib.crc32(content))


def unpacked(content: bytes, space: str, dimension: int, field: str) -> Taught:
    """A label from its bytes. Raises `InvalidRequestError` for bytes that are none, and for a label of another space."""
    foreign = InvalidRequestError("this is no taught label of this version: teach it again", field=field)
    if len(content) < _HEAD.size + _CHECK.size or content[: len(_MAGIC)] != _MAGIC:
        raise foreign
    _, of_space, of_label, numbers, bias, slope, intercept = _HEAD.unpack_from(content)
    ends = np.cumsum([_HEAD.size, of_space, of_label, 4 * numbers]).tolist()
    if len(content) != ends[-1] + _CHECK.size or _CHECK.unpack_from(content, ends[-1])[0] != zlib.crc32(
        content[: ends[-1]]
    ):
        raise foreign
    weights = np.frombuffer(content, "<f4", numbers, ends[2]).astype(np.float32)
    try:
        its_space, label = content[ends[0] : ends[1]].decode(), content[ends[1] : ends[2]].decode()
    except UnicodeDecodeError:
        raise foreign from None
    if not (np.isfinite(weights).all() and np.isfinite([bias, slope, intercept]).all()):
        raise foreign
    if (its_space, numbers) != (space, dimension):
        raise InvalidRequestError(f"this label was taught in another space than {space}: teach it again", field=field)
    return Taught(label, its_space, weights, bias, slope, intercept)


def train(label: str, space: str, positives: Vectors, negatives: Vectors) -> tuple[Taught, float]:
    """Teach a label; return it and its accuracy on examples left out. Both kinds of examples weigh alike.

    Kernel ridge regression in its dual form, with the ridge of the least error when each example is left out, which has a closed
    form (Rifkin and Lippert, "Notes on Regularized Least Squares", 2007); probabilities by a logistic regression on the left-out
    answers (Platt, "Probabilistic Outputs for Support Vector Machines", 1999).
    """
    rows = np.concatenate([positives, negatives]).astype(np.float64)
    truth = np.concatenate([np.ones(len(positives)), -np.ones(len(negatives))])
    share = np.where(truth > 0, 0.5 / len(positives), 0.5 / len(negatives))
    kernel = rows @ rows.T + 1
    best: tuple[float, Numbers, Numbers] | None = None
    for ridge in _RIDGES:
        inverse = np.linalg.inv(kernel + np.diag(ridge / (share * len(rows))))
        dual = inverse @ truth
        left_out = truth - dual / np.diag(inverse)
        error = float((share * (truth - left_out) ** 2).sum())
        if best is None or error < best[0]:
            best = error, dual, left_out
    assert best is not None, "there are ridges"
    _, dual, left_out = best
    slope, intercept = _logistic(left_out, truth > 0, share)
    weights = (rows.T @ dual).astype(np.float32)
    accuracy = float(share[(left_out > 0) == (truth > 0)].sum())
    return Taught(label, space, weights, float(dual.sum()), slope, intercept), accuracy


def _logistic(answers: Numbers, truth: npt.NDArray[np.bool_], share: Numbers) -> tuple[float, float]:
    """Slope and intercept by Newton's method. Targets are a little short of 0 and 1, so that few examples promise little."""
    right, wrong = int(truth.sum()), int((~truth).sum())
    targets = np.where(truth, (right + 1) / (right + 2), 1 / (wrong + 2))
    rows = np.column_stack([answers, np.ones(len(answers))])
    found = np.zeros(2)
    for _ in range(_STEPS):
        probabilities = 1 / (1 + np.exp(-np.clip(rows @ found, -30, 30)))
        slope_of = rows.T @ (share * (probabilities - targets)) + 1e-3 * found
        curve = (rows * (share * probabilities * (1 - probabilities))[:, np.newaxis]).T @ rows + 1e-3 * np.eye(2)
        step = np.linalg.solve(curve, slope_of)
        found -= np.clip(step, -5, 5)
    # Answers that are no better than chance must not turn the label round.
    return max(0.0, float(found[0])), float(found[1])
