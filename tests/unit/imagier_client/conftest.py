# SPDX-License-Identifier: Apache-2.0
"""A window of a stream, and its clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from imagier_client.window import Window
from support.windows import POLICY, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def window(clock: Clock) -> Callable[..., Window[str]]:
    return lambda size=4, policy=POLICY: Window(size, policy, ("en",), clock=clock)
