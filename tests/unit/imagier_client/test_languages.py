# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from imagier_client.languages import primary


@pytest.mark.parametrize(
    ("language", "expected"),
    [("fr", "fr"), ("fr-CA", "fr"), ("zh_CN", "zh"), ("zh_Hans-CN", "zh"), ("EN", "en"), ("", "")],
)
def test_regions_and_scripts_are_left_out(language: str, expected: str) -> None:
    assert primary(language) == expected
