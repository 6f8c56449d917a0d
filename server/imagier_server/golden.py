# SPDX-License-Identifier: Apache-2.0
"""Golden answers: what a model must answer to known inputs, wherever and however it runs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from imagier_server.messages import Tensor, Tensors

SAME: Final = 0.999
"""The least cosine between an answer and the golden one: far below what another precision or device changes, far above another
model's."""
LEVELS: Final = 0.5
"""By how much a map of 0 to 255 may differ on average."""
_INPUT, _OUTPUT = "input", "output"


class Known(Protocol):
    """Inputs of a model, and which answers to them are right."""

    @property
    def inputs(self) -> Tensors: ...

    def agrees(self, outputs: Tensors) -> bool: ...


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


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to a model, and what the model answered as it was installed."""

    inputs: Tensors
    outputs: Tensors

    def agrees(self, outputs: Tensors) -> bool:
        """Whether another answer is as good: the same numbers of tokens and classes, the same map and vectors but for rounding."""
        return outputs.keys() == self.outputs.keys() and all(
            _alike(expected, outputs[name]) for name, expected in self.outputs.items()
        )


def _alike(expected: Tensor, found: Tensor) -> bool:
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return False
    if expected.dtype == np.uint8:
        return bool(np.abs(expected.astype(np.float64) - found.astype(np.float64)).mean() <= LEVELS)
    if expected.dtype.kind != "f":
        return bool(np.array_equal(expected, found))
    ours, theirs = (each.reshape(len(each), -1).astype(np.float64) for each in (expected, found))
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    same = ((ours * theirs).sum(axis=1) >= SAME * lengths).all()
    near = np.allclose(np.linalg.norm(ours, axis=1), np.linalg.norm(theirs, axis=1), rtol=1 - SAME, atol=1 - SAME)
    # The best stays the best. Of several equally high, such as confidences near 1, rounding may choose another.
    best = np.take_along_axis(theirs, ours.argmax(axis=1)[:, None], axis=1)[:, 0]
    return bool(same and near and (theirs.max(axis=1) - best <= 1 - SAME).all())


def packed(asked: Sequence[Asked]) -> bytes:
    """The file that `unpacked` reads."""
    arrays: dict[str, Any] = {
        f"{number}/{kind}/{name}": tensor
        for number, each in enumerate(asked)
        for kind, tensors in ((_INPUT, each.inputs), (_OUTPUT, each.outputs))
        for name, tensor in tensors.items()
    }
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def unpacked(path: Path) -> tuple[Asked, ...]:
    """What `packed` wrote. Raises `ValueError` for a damaged file."""
    found: dict[int, dict[str, dict[str, Tensor]]] = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for key in arrays.files:
                number, kind, name = key.split("/", 2)
                found.setdefault(int(number), {_INPUT: {}, _OUTPUT: {}})[kind][name] = arrays[key]
    except Exception as error:  # whatever a damaged archive does
        raise ValueError(f"{path} is damaged: run `imagier tune` again, or remove its folder") from error
    return tuple(Asked(each[_INPUT], each[_OUTPUT]) for _, each in sorted(found.items()))
