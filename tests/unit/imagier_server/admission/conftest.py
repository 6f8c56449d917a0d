# SPDX-License-Identifier: Apache-2.0
"""Uploads whose parts arrive when a test says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.uploads import Uploads


@pytest.fixture
def uploads() -> Iterator[Uploads]:
    return Uploads()
