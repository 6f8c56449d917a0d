# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from imagier_server.golden import Golden

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
