# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from imagier_server.tasks.tags.spelling import fold, stems, stems_of_name

SIMPLIFIED = {ord("貓"): "猫", ord("車"): "车"}


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("en", "dog", "Dogs"),
        ("en", "box", "boxes"),
        ("en", "horse", "horses"),
        ("en", "tomato", "tomatoes"),
        ("en", "berry", "berries"),
        ("en", "monkey", "monkeys"),
        ("en", "tie", "ties"),
        ("en", "wolf", "wolves"),
        ("en", "fireman", "firemen"),
        ("en", "bird of prey", "Birds of Prey"),
        ("en", "person", "people"),
        ("en", "grey wolf", "gray wolves"),
        ("en", "pajamas", "pyjamas"),
        ("en", "ice cream", "ice-cream"),
        ("en", "ice cream", "icecream"),
        ("en", "hot-air balloon", "hot_air_balloons"),
        ("en", "T-shirt", "t shirts"),
        ("en", "bow tie", "bowties"),
        ("en", "sports car", "sport cars"),
        ("en", "pickup", "pick-ups"),
        ("en", "praying mantis", "praying mantises"),
        ("en", "lens", "lenses"),
        ("fr", "cheval", "Chevaux"),
        ("fr", "bateau", "bateaux"),
        ("fr", "bijou", "bijoux"),
        ("fr", "feu de circulation", "feux de circulation"),
        ("fr", "bœuf", "boeufs"),
        ("fr", "œil", "yeux"),
        ("fr", "tournevis", "tournevis"),
        ("fr", "appareil photo", "appareils-photos"),
        ("fr", "sous-marin", "sousmarins"),
        ("zh", "猫", "貓"),
    ],
)
def test_a_name_is_found_by_its_variants(language: str, one: str, other: str) -> None:
    name = stems_of_name(fold(one), language, SIMPLIFIED)
    assert not set(name).isdisjoint(stems(fold(other), language, SIMPLIFIED))


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("en", "cap", "cape"),
        ("en", "sky", "ski"),
        ("en", "bus", "bu"),
        ("en", "horse", "hors"),
        ("en", "olive", "olife"),
        ("fr", "ours", "oural"),
        ("fr", "roue", "rou"),
        ("zh", "猫", "狗"),
    ],
)
def test_different_words_stay_different(language: str, one: str, other: str) -> None:
    assert set(stems_of_name(fold(one), language, {})).isdisjoint(stems(fold(other), language, {}))


def test_fold_ignores_case_accents_ligatures_and_blanks() -> None:
    assert fold("  Mau\tÉGYPTIEN ") == "mau egyptien"
    assert fold("ŒUF") == fold("œuf") == "oeuf"
    assert fold("Straße") == "strasse"
    assert fold("") == fold(" \n") == ""


def test_a_language_without_rules_keeps_its_words() -> None:
    assert stems("hunde", "de", {}) == stems_of_name("hunde", "de", {}) == ("hunde",)
