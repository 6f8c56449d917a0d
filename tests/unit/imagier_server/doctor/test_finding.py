# SPDX-License-Identifier: Apache-2.0
"""Sizes as people read them."""

from __future__ import annotations

import pytest
from imagier_server.doctor.finding import binary_size


@pytest.mark.parametrize(("size", "text"), [(160 << 20, "160 MiB"), (3 << 29, "1.5 GiB"), (0, "0 MiB")])
def test_sizes(size: int, text: str) -> None:
    assert binary_size(size) == text
