# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from imagier_server.golden import Asked, Golden, packed, unpacked
from imagier_server.messages import Tensor

SCORES = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], np.float32)
TOKENS = np.array([[3, 1, 4], [1, 5, 9]], np.int32)
LEVELS = np.arange(200, dtype=np.uint8).reshape(1, 10, 20)
GOLDEN = Golden({}, "vector", np.array([[1, 0], [0, 1]], np.float32))


def turned(degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return np.array([[np.cos(angle), np.sin(angle)], [0, 1]], np.float32)


@pytest.mark.parametrize(("degrees", "agrees"), [(0, True), (2, True), (3, False), (180, False)])
def test_a_row_may_be_turned_by_no_more_than_another_precision_turns_it(degrees: float, agrees: bool) -> None:
    assert GOLDEN.agrees({"vector": turned(degrees)}) is agrees


@pytest.mark.parametrize(
    "outputs", [{}, {"vector": np.eye(3, dtype=np.float32)}, {"vector": np.zeros((2, 2), np.float32)}]
)
def test_no_output_another_shape_or_no_direction_is_no_agreement(outputs: dict[str, np.ndarray]) -> None:
    assert not GOLDEN.agrees(outputs)


@pytest.mark.parametrize(
    ("expected", "found", "agrees"),
    [
        (SCORES, SCORES + 1e-4, True),
        (SCORES, SCORES[:, ::-1].copy(), False),
        (SCORES, SCORES * 2, False),
        (SCORES, SCORES[:1], False),
        (np.array([[0.51, 0.49]], np.float32), np.array([[0.49, 0.51]], np.float32), False),  # another class is best
        (np.array([[1, 0.99999]], np.float32), np.array([[0.99999, 1]], np.float32), True),  # two are best
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


def test_what_was_asked_is_read_as_it_was_written(tmp_path: Path) -> None:
    asked = [
        Asked({"pixels": LEVELS, "more": TOKENS}, {"out": SCORES}),
        Asked({"pixels": LEVELS[:, :5]}, {"out": TOKENS}),
    ]
    (tmp_path / "golden.npz").write_bytes(packed(asked))
    found = unpacked(tmp_path / "golden.npz")
    assert [each.inputs.keys() for each in found] == [each.inputs.keys() for each in asked]
    for ours, theirs in zip(asked, found, strict=True):
        assert ours.agrees(theirs.outputs)
        for name, tensor in ours.inputs.items():
            np.testing.assert_array_equal(tensor, theirs.inputs[name], strict=True)


@pytest.mark.parametrize("written", [b"", b"PK\3\4", b"no archive"])
def test_a_damaged_file_is_told_of(tmp_path: Path, written: bytes) -> None:
    (tmp_path / "golden.npz").write_bytes(written)
    with pytest.raises(ValueError, match="run `imagier tune` again"):
        unpacked(tmp_path / "golden.npz")
