# SPDX-License-Identifier: Apache-2.0
"""The pictures that the demonstration draws."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from imagier_client.drawing import fonts
from PIL import Image
from samples import SIZE, receipt, street_sign, tea_house

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("draw", [street_sign, receipt, tea_house])
def test_a_sample_is_the_same_each_time(draw: Callable[[], Image.Image]):
    picture = draw()
    assert (picture.size, picture.mode) == (SIZE, "RGB")
    assert picture.tobytes() == draw().tobytes()


def test_no_tea_house_without_its_characters(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fonts, "_files", lambda: (None,))
    with pytest.raises(ValueError, match=r"imagier\[drawing\]"):
        tea_house()
