# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
from pathlib import Path

import pytest
from imagier_server.errors import InvalidRequestError
from imagier_server.tasks.tags.keywords import MAX_CHARACTERS, MAX_DEPTH, MAX_KEYWORDS, MAX_WORD, Keywords
from imagier_server.tasks.tags.spelling import fold, stems_of_name
from imagier_server.tasks.tags.values import MatchKind
from imagier_server.tasks.tags.vocabulary import Vocabulary

ASSETS = Path(__file__).parents[5] / "model_repository" / "tagger" / "assets"


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.load(ASSETS)


@pytest.fixture(scope="module")
def keywords(vocabulary: Vocabulary) -> Keywords:
    return Keywords.load(ASSETS, vocabulary)


def meant(keywords: Keywords, keyword: str) -> dict[str, MatchKind]:
    """English name → how it was found."""
    concepts = keywords.vocabulary.concepts
    return {concepts[place].names["en"]: kind for place, kind in keywords.meanings(keyword).items()}


@pytest.mark.parametrize(
    ("keyword", "name", "kind"),
    [
        ("n02124075", "Egyptian cat", MatchKind.ID),
        ("dog", "dog", MatchKind.NAME),
        ("DOG ", "dog", MatchKind.NAME),
        ("chien", "dog", MatchKind.NAME),
        ("狗", "dog", MatchKind.NAME),
        ("Velo", "bicycle", MatchKind.NAME),
        ("dogs", "dog", MatchKind.VARIANT),
        ("chevaux", "horse", MatchKind.VARIANT),
        ("gray wolf", "grey wolf", MatchKind.VARIANT),
        ("egyptian_cats", "Egyptian cat", MatchKind.VARIANT),
        ("SportsCar", "sports car", MatchKind.VARIANT),
        ("飛機", "airplane", MatchKind.VARIANT),
        ("kitty", "cat", MatchKind.SYNONYM),
        ("automobile", "car", MatchKind.SYNONYM),
        ("bikes", "bicycle", MatchKind.SYNONYM),
        ("télé", "television", MatchKind.SYNONYM),
        ("單車", "bicycle", MatchKind.SYNONYM),
    ],
)
def test_a_keyword_is_found_however_it_is_written(keywords: Keywords, keyword: str, name: str, kind: MatchKind) -> None:
    assert meant(keywords, keyword) == {name: kind}


@pytest.mark.parametrize("keyword", ["", "  ", "|", "holiday 2019", "x" * (MAX_WORD + 1), "dog park", "Animals|Rex"])
def test_what_is_no_tag_means_nothing(keywords: Keywords, keyword: str) -> None:
    assert meant(keywords, keyword) == {}


def test_an_exact_word_goes_before_a_variant_of_another(keywords: Keywords) -> None:
    assert meant(keywords, "glasses") == {"glasses": MatchKind.NAME}, "and not several of a glass"
    assert meant(keywords, "glass") == {"glass": MatchKind.NAME}


def test_an_ambiguous_keyword_has_both_meanings(keywords: Keywords) -> None:
    assert meant(keywords, "crane") == {"crane": MatchKind.NAME, "construction crane": MatchKind.SYNONYM}
    assert meant(keywords, "Cranes").keys() == {"crane", "construction crane"}


@pytest.mark.parametrize(
    "path", ["Animals|Birds|Crane", "Nature/birds/Crane", r"Oiseaux\crane", "Tiere > Bird > CRANES"]
)
def test_the_path_of_a_hierarchy_decides_between_meanings(keywords: Keywords, path: str) -> None:
    assert meant(keywords, path).keys() == {"crane"}


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("Animals|Dogs", {"dog"}),
        ("Nature/Animals/Dog", {"dog"}),
        ("Dog|", {"dog"}),
        ("Places|Zoo|Crane", {"crane", "construction crane"}),
    ],
)
def test_the_last_part_of_a_hierarchy_counts(keywords: Keywords, path: str, names: set[str]) -> None:
    assert meant(keywords, path).keys() == names


def test_the_same_matching_finds_places_for_lists(keywords: Keywords, vocabulary: Vocabulary) -> None:
    found = keywords.find(["Animals|Dogs", "kitty", "unheard of"])
    assert {vocabulary.concepts[place].names["en"] for place in found} == {"dog", "cat"}


def test_match_answers_each_keyword_in_its_order_with_names(keywords: Keywords) -> None:
    answer = keywords.match(["zzz", "kitty", "kitty"], ["fr-CA", "tlh"], [])
    assert [match.keyword for match in answer.matches] == ["zzz", "kitty", "kitty"]
    assert answer.matches[0].meanings == ()
    (cat,) = answer.matches[1].meanings
    assert cat.names == {"fr": "chat", "en": "cat"}
    assert [parent.names["fr"] for parent in cat.parents] == ["animal"]
    assert answer.unknown_languages == ("tlh",)


def test_the_language_of_a_keyword_decides_too(keywords: Keywords) -> None:
    """An English pie is no French magpie, and French bread no English pain."""

    def match(keyword: str, *languages: str) -> list[str]:
        (found,) = keywords.match([keyword], ["en"], languages).matches
        return [meaning.names["en"] for meaning in found.meanings]

    assert match("pie") == match("pie", "fr") == match("pies", "fr-CA") == ["magpie"]
    assert match("pie", "en") == []
    assert match("papillon", "en") == ["papillon"]
    assert match("papillon", "fr") == ["butterfly"]
    assert match("papillon", "en", "fr") == ["papillon", "butterfly"]
    assert match("n02124075", "zh") == ["Egyptian cat"], "an id has no language"
    assert match("chien", "de") == match("chien", "tlh") == ["dog"], "all languages, where none named is spoken"
    assert match("chien", "de", "en") == [], "and else those that are"


def test_too_many_and_too_long_are_refused_by_name(keywords: Keywords) -> None:
    keywords.check(["x"] * MAX_KEYWORDS, "keywords")
    with pytest.raises(InvalidRequestError) as refused:
        keywords.check(["x"] * (MAX_KEYWORDS + 1), "keywords")
    assert refused.value.field == "keywords"
    with pytest.raises(InvalidRequestError) as refused:
        keywords.check(["x", "y" * (MAX_CHARACTERS + 1)], "tags.allow")
    assert refused.value.field == "tags.allow[1]"
    assert "y" not in refused.value.text.replace("entry", "")


def test_every_name_in_every_language_finds_its_concept(keywords: Keywords, vocabulary: Vocabulary) -> None:
    for place, concept in enumerate(vocabulary.concepts):
        shown = vocabulary.parent[place] if concept.alias else place
        for word in (concept.id, *concept.names.values()):
            assert shown in keywords.meanings(word), word


def test_an_alias_stands_for_what_is_shown_for_it(keywords: Keywords) -> None:
    assert meant(keywords, "n03832673") == {"laptop": MatchKind.ID}
    assert meant(keywords, "notebook computers") == {"laptop": MatchKind.SYNONYM}
    assert meant(keywords, "lunettes noires") == {"sunglasses": MatchKind.SYNONYM}


def synonyms() -> list[tuple[str, str, str]]:
    """(id, language, word)."""
    with (ASSETS / "synonyms.tsv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [
        (row["id"], lang, word) for row in rows for lang in ("en", "fr", "zh") for word in row[lang].split(", ") if word
    ]


def test_synonyms_are_many_tidy_and_add_something(vocabulary: Vocabulary) -> None:
    assert len(synonyms()) > 800
    assert len(set(synonyms())) == len(synonyms())
    for concept_id, language, word in synonyms():
        names = vocabulary.concepts[vocabulary.index[concept_id]].names
        assert word == " ".join(word.split()), word
        assert not set(word) & set(";/|_,\\>"), word
        assert len(word) <= MAX_WORD
        assert fold(word) not in {fold(name) for name in names.values()}, (names["en"], language, word)


def test_few_words_are_ambiguous(keywords: Keywords) -> None:
    """A synonym must not make a name of something else ambiguous unless people use the word for both."""
    words = {word for _, _, word in synonyms()} | {n for c in keywords.vocabulary.concepts for n in c.names.values()}
    assert {fold(word) for word in words if len(keywords.meanings(word)) > 1} == {
        "beer", "biere", "cape", "crane", "grue", "panther", "papillon", "pistolet", "trolley", "tub", "啤酒",
    }  # fmt: skip


def test_few_stems_are_ambiguous(keywords: Keywords) -> None:
    """What is written together, or in the plural, must not mean something else as well."""
    names = [(language, name) for concept in keywords.vocabulary.concepts for language, name in concept.names.items()]
    words = [*names, *((language, word) for _, language, word in synonyms())]
    stems = {each for language, word in words for each in stems_of_name(fold(word), language, {})}
    assert {each for each in stems if len(keywords.meanings(each)) > 1} == {
        "beer", "biere", "cape", "crane", "grue", "panther", "papillon", "pistolet", "trolley", "tub", "啤酒",
    }  # fmt: skip


def test_traditional_characters_become_simplified_ones() -> None:
    rows = (ASSETS / "traditional.tsv").read_text("utf-8").splitlines()[1:]
    pairs = [row.split("\t") for row in rows]
    assert len(pairs) > 300
    assert all(len(old) == len(new) == 1 and old != new for old, new in pairs)
    assert len({old for old, _ in pairs}) == len(pairs)


def test_a_hierarchy_is_looked_at_from_its_end(keywords: Keywords) -> None:
    assert meant(keywords, "Birds|" + "x|" * (MAX_DEPTH - 2) + "crane").keys() == {"crane"}
    assert meant(keywords, "Birds|" + "x|" * (MAX_DEPTH - 1) + "crane").keys() == {"crane", "construction crane"}
