# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from imagier_server.tasks.embedding.encoding import encoded
from imagier_server.tasks.embedding.values import Encoding

RAW = np.random.default_rng(1).normal(size=(3, 20))
VECTORS = (RAW / np.linalg.norm(RAW, axis=1, keepdims=True)).astype(np.float32)


def test_numbers_of_32_bits_are_as_they_are() -> None:
    assert [vector.values for vector in encoded(VECTORS, Encoding.FLOAT32)] == [tuple(row) for row in VECTORS.tolist()]


def test_half_precision_is_low_byte_first() -> None:
    for vector, row in zip(encoded(VECTORS, Encoding.FLOAT16), VECTORS, strict=True):
        assert np.frombuffer(vector.packed, "<f2").astype(np.float32) == pytest.approx(row, abs=1e-3)


def test_whole_numbers_use_the_whole_range() -> None:
    for vector, row in zip(encoded(VECTORS, Encoding.INT8), VECTORS, strict=True):
        numbers = np.frombuffer(vector.packed, np.int8)
        assert abs(numbers.astype(int)).max() == 127
        assert numbers * vector.scale == pytest.approx(row, abs=vector.scale / 2 + 1e-6)


def test_bits_are_the_signs_the_first_in_the_highest_bit() -> None:
    for vector, row in zip(encoded(VECTORS, Encoding.BITS), VECTORS, strict=True):
        assert len(vector.packed) == 3
        text = "".join(f"{byte:08b}" for byte in vector.packed)
        assert text == "".join("1" if number > 0 else "0" for number in row) + "0000"
