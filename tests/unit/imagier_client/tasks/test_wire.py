# SPDX-License-Identifier: Apache-2.0
"""What several tasks need between values and protobuf."""

from __future__ import annotations

import pytest
from imagier_client.tasks.wire import ordered_names


@pytest.mark.parametrize(("languages", "name"), [(("zh_CN", "en"), "猫"), (("zh-Hans",), "猫"), (("fr_CA",), "chat")])
def test_names_are_in_the_order_of_languages_with_a_region(languages: tuple[str, ...], name: str) -> None:
    assert next(iter(ordered_names({"en": "cat", "fr": "chat", "zh": "猫"}, languages).values())) == name
