# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from imagier_server.tasks.languages import primary, spoken


def test_regions_and_scripts_are_left_out() -> None:
    assert [primary(language) for language in ("fr-CA", "zh_Hans_CN", "EN", "")] == ["fr", "zh", "en", ""]


def test_each_language_once_in_the_callers_order() -> None:
    assert spoken(("tlh", "fr-CA", "en", "fr", "tlh"), ("en", "fr")) == (("fr", "en"), ("tlh",))
    assert spoken((), ("en",)) == ((), ())
