# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io

import numpy as np
from imagier_server.export.golden import golden


def test_the_arrays_are_read_without_pickle() -> None:
    vectors = np.eye(3, dtype=np.float32)
    with np.load(io.BytesIO(golden(texts=np.array(["cat", "猫"]), vectors=vectors)), allow_pickle=False) as arrays:
        assert arrays["texts"].tolist() == ["cat", "猫"]
        assert (arrays["vectors"] == vectors).all()
