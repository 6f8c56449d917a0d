# SPDX-License-Identifier: Apache-2.0
"""The fuzzer's targets on their seeds, without the fuzzer: `make test-system` lets it loose on them."""

from __future__ import annotations

import pytest
from support.fuzz_targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_read_well(name: str) -> None:
    target, seeds = TARGETS[name]
    for seed in seeds():
        target(seed)
