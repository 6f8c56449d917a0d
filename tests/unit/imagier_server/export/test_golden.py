# SPDX-License-Identifier: Apache-2.0
"""Golden answers are kept number by number, and read without running anything."""

from __future__ import annotations

import io

import numpy as np
from imagier_server.export.golden import golden


def test_what_is_written_is_read_again_without_pickles():
    vectors = np.random.default_rng(1).standard_normal((2, 5), np.float32)
    content = golden(texts=np.array(["Katze", "猫"]), vectors=vectors)
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        assert arrays["texts"].tolist() == ["Katze", "猫"]
        assert arrays["vectors"].dtype == np.float32
        np.testing.assert_array_equal(arrays["vectors"], vectors)
