# SPDX-License-Identifier: Apache-2.0
"""PDQ bit by bit as Meta's own code has it: the hashes and qualities below are those of the package pdqhash 0.2.8."""

from __future__ import annotations

import numpy as np
import pytest
from imagier_server.tasks.fingerprint import pdq

LUMA = np.array([0.299, 0.587, 0.114])


def blocks(height: int, width: int, block: int) -> np.ndarray:
    """A picture of so many blocks, each of them `block` pixels square."""
    y, x, colour = np.mgrid[0:height, 0:width, 0:3]
    shades = (y * y * 31 + x * x * 17 + x * y * (colour + 3) * 5) % 256
    return shades.astype(np.uint8).repeat(block, 0).repeat(block, 1)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (blocks(16, 16, 32), "9a373a36d3fd0dff6822163438523c2ddfb33aa71a22076ac7f51aa24a88db81"),
        (blocks(20, 33, 17), "ffff150054eed610359d9dfb36145a7a78645134f9ee5e23d74d4340910294ca"),
        (blocks(60, 90, 1), "9f3c004bcf76e5f5e7dd8862592d13b961397a780abc34f20bb873682e44071e"),
    ],
    ids=["512 x 512", "340 x 561", "60 x 90"],
)
def test_the_hash_is_that_of_its_authors(picture: np.ndarray, expected: str) -> None:
    small = pdq.samples(picture @ LUMA)
    assert pdq.bits(small).hex() == expected
    assert pdq.quality(small) == 100


def test_quality_is_how_much_there_is_to_see() -> None:
    plain = np.full((64, 64), 128.0)
    assert pdq.quality(plain) == 0
    one_edge = plain.copy()
    one_edge[:, 32:] = 255.0  # 64 steps of 49 %
    assert pdq.quality(one_edge) == 64 * 49 // 90
    assert pdq.quality(np.indices((64, 64)).sum(0) % 2 * 255.0) == 100


@pytest.mark.parametrize("shade", [0.0, 77.3, 255.0])
def test_a_plain_picture_has_no_bits(shade: float) -> None:
    """Not those that errors of rounding would make."""
    assert pdq.bits(pdq.samples(np.full((100, 130), shade))) == bytes(32)


def test_half_of_the_bits_are_set() -> None:
    hashed = pdq.bits(np.random.default_rng(0).random((64, 64)))
    assert int.from_bytes(hashed).bit_count() == 128
