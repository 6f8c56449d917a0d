# SPDX-License-Identifier: Apache-2.0
"""The pictures that the demonstration draws."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from imagier_client.samples import SIZE, receipt, street_sign
from PIL import Image

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("draw", [street_sign, receipt])
def test_a_sample_is_the_same_each_time(draw: Callable[[], Image.Image]):
    picture = draw()
    assert (picture.size, picture.mode) == (SIZE, "RGB")
    assert picture.tobytes() == draw().tobytes()
