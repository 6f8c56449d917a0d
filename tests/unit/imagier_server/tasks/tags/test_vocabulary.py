# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from imagier_server.tasks.tags.vocabulary import Concept, Vocabulary

ASSETS = Path(__file__).parents[5] / "model_repository" / "tagger" / "assets"


def concept(name: str, parent: str = "", fr: str = "") -> Concept:
    return Concept(f"id-{name}", {"en": name, "fr": fr or f"{name} fr"}, f"id-{parent}" if parent else "")


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary(
        [
            concept("tabby", "cat"),
            concept("Egyptian cat", "cat", "mau égyptien"),
            concept("husky", "dog"),
            concept("sled dog", "husky"),
        ],
        [concept("cat", "animal"), concept("dog", "animal"), concept("animal")],
    )


def test_parents_gather_what_lies_under_them(vocabulary: Vocabulary) -> None:
    scores = dict(
        zip(
            (c.names["en"] for c in vocabulary.concepts),
            vocabulary.gather(np.float32([0.1, 0.2, 0.3, 0.4])),
            strict=True,
        )
    )
    assert scores == pytest.approx(
        {"tabby": 0.1, "Egyptian cat": 0.2, "husky": 0.7, "sled dog": 0.4, "cat": 0.3, "dog": 0.7, "animal": 1.0}
    ), "a class may be a parent too"


def test_rounding_never_pushes_a_score_above_one(vocabulary: Vocabulary) -> None:
    assert vocabulary.gather(np.float32([0.5, 0.5, 0.25, 0.25])).max() == 1


def test_descendants(vocabulary: Vocabulary) -> None:
    under = vocabulary.with_descendants(frozenset([vocabulary.index["id-dog"]]))
    assert {vocabulary.concepts[place].names["en"] for place in under} == {"dog", "husky", "sled dog"}


def test_a_circle_and_a_double_id_are_refused() -> None:
    with pytest.raises(ValueError, match="circle"):
        Vocabulary([concept("a", "b")], [concept("b", "c"), concept("c", "b")])
    with pytest.raises(ValueError, match="twice"):
        Vocabulary([concept("a")], [concept("a")])


@pytest.fixture(scope="module")
def ours() -> Vocabulary:
    return Vocabulary.load(ASSETS)


def test_a_thousand_classes_in_the_models_order(ours: Vocabulary) -> None:
    classes = [line.split("\t")[0] for line in (ASSETS / "classes.tsv").read_text("utf-8").splitlines()[1:]]
    assert len(classes) == 1000
    assert classes == sorted(classes), "the model's outputs are in the order of the WordNet ids"
    assert ours.languages == ("en", "fr", "zh")


def test_every_name_is_there_and_tidy(ours: Vocabulary) -> None:
    for each in ours.concepts:
        assert tuple(each.names) == ours.languages
        for language, name in each.names.items():
            assert name, (each.id, language)
            assert name == unicodedata.normalize("NFC", " ".join(name.split())), (each.id, language)
            assert not set(name) & set(',;/|_()[]:"*'), (each.id, language)
            assert len(name) <= 40, (each.id, language)


def test_names_are_words_not_definitions(ours: Vocabulary) -> None:
    for each in ours.concepts:
        assert not re.match(r"(an?|the) ", each.names["en"]), each.id
        assert not re.match(r"(une?|l[ae]s?|des?|du) |[ld]'", each.names["fr"]), each.id
        assert len(each.names["en"].split()) <= 5, each.id


def test_no_latin_species(ours: Vocabulary) -> None:
    """Two words, a capital first and an ending of a species' second name: Canis lupus."""
    latin = re.compile(r"[A-Z][a-z]+(us|is|a|um) [a-z]+(us|is|a|um|ii|ae|ensis)")
    assert [each.names for each in ours.concepts if any(map(latin.fullmatch, each.names.values()))] == []


def test_capitals_are_for_proper_names(ours: Vocabulary) -> None:
    """In French neither breeds nor peoples' adjectives have one; in both languages no word is all capitals but a few."""
    shouted = {
        word
        for each in ours.concepts
        for name in each.names.values()
        for word in name.split()
        if re.fullmatch("[A-Z]{2,}", word)
    }
    assert shouted == {"ATM", "CD", "PC", "SLR", "TV", "VTT"}
    assert [each.names["fr"] for each in ours.concepts if each.names["fr"][0].isupper()] == [
        "Ford T",
        "VTT",
        "PC portable",
    ]


def test_no_two_concepts_share_a_name(ours: Vocabulary) -> None:
    for language in ours.languages:
        seen: dict[str, str] = {}
        for each in ours.concepts:
            other = seen.setdefault(each.names[language].casefold(), each.id)
            assert other == each.id, (language, each.names[language], other, each.id)


def test_chinese_is_chinese_and_simplified(ours: Vocabulary) -> None:
    traditional = {line[0] for line in (ASSETS / "traditional.tsv").read_text("utf-8").splitlines()[1:]}
    for each in ours.concepts:
        name = each.names["zh"]
        assert any("\u4e00" <= character <= "\u9fff" for character in name), each.id
        assert not set(name) & traditional, (each.id, name)
        assert " " not in name, (each.id, name)


def test_an_egyptian_cat_is_a_cat_and_an_animal(ours: Vocabulary) -> None:
    place = ours.index["n02124075"]
    assert [ours.concepts[above].names["en"] for above in ours.ancestors[place]] == ["cat", "animal"]


def test_breeds_are_alternatives_and_furniture_stands_together(ours: Vocabulary) -> None:
    together = {each.names["en"] for each in ours.concepts if each.together}
    assert {"furniture", "clothing", "kitchen", "street", "landscape"} <= together
    assert together.isdisjoint({"animal", "dog", "cat", "bird", "vehicle", "car", "boat"})


def test_languages_are_matched_whatever_their_region(ours: Vocabulary) -> None:
    assert ours.spoken(["fr-CA", "zh_Hant", "de", "tlh"]) == (("fr", "zh", "en"), ("de", "tlh"))
    assert ours.spoken([]) == (("en",), ())
    assert ours.spoken(["FR", "fr"]) == (("fr",), ())


def test_an_alias_is_a_class_under_the_class_that_is_shown_for_it(ours: Vocabulary) -> None:
    assert {ours.concepts[place].names["en"] for place in ours.aliases} == {
        "notebook computer",
        "dark glasses",
        "ear of corn",
        "screen",
    }
    for place in ours.aliases:
        parent = ours.parent[place]
        assert parent is not None
        assert max(place, parent) < ours.classes
        assert parent not in ours.aliases
        assert not ours.children[place]
