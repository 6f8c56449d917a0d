# SPDX-License-Identifier: Apache-2.0
"""No text is drawn as empty boxes."""

from __future__ import annotations

import pytest
from imagier_client.drawing import fonts


@pytest.fixture(name="bare_machine")
def _bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only Pillow's own font."""
    monkeypatch.setattr(fonts, "_files", lambda: (None,))


@pytest.mark.usefixtures("bare_machine")
def test_latin_letters_are_always_there() -> None:
    assert fonts.font_for("Rue des Lilas 12,50 (x)", 20) is fonts.plain(20)
    assert fonts.drawable("Rue des Lilas") == "Rue des Lilas"


@pytest.mark.usefixtures("bare_machine")
def test_without_accents_where_no_font_has_them() -> None:
    assert fonts.font_for("é", 20) is None
    assert fonts.drawable("mau égyptien – œuf") == "mau egyptien - oeuf"


@pytest.mark.usefixtures("bare_machine")
def test_what_no_font_has_is_not_drawn() -> None:
    assert fonts.font_for("猫", 20) is None
    assert fonts.drawable("chat 猫") is None


def test_the_extra_brings_chinese_japanese_and_accents() -> None:
    everything = "Rue égyptienne – œuf … · €, 有評是非 中国 ストリートてくらべ Ω Ж"
    assert fonts.font_for(everything, 20) is fonts.plain(20)
    assert fonts.drawable(everything) == everything


def test_a_character_that_nobody_has() -> None:
    assert fonts.drawable("\U0010f123") is None
