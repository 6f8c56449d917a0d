# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from imagier_server.errors import InternalError, InvalidRequestError
from imagier_server.tasks.tags.calibration import Calibration
from imagier_server.tasks.tags.crops import SIDE, prepare
from imagier_server.tasks.tags.keywords import Keywords
from imagier_server.tasks.tags.task import TagsTask
from imagier_server.tasks.tags.values import TagsOptions
from imagier_server.tasks.tags.vocabulary import Concept, Vocabulary
from support.shades import picture

CLASSES = [
    "tabby",
    "Egyptian cat",
    "Siamese cat",
    "husky",
    "sled dog",
    "malamute",
    "teapot",
    "cup",
    "mug",
    "something else",
]
PARENTS = {
    "tabby": "cat",
    "Egyptian cat": "cat",
    "Siamese cat": "cat",
    "husky": "dog",
    "sled dog": "husky",
    "malamute": "dog",
    "cat": "animal",
    "dog": "animal",
    "teapot": "tableware",
    "cup": "tableware",
    "mug": "cup",
}
MEASURED = Calibration(temperature=1.0, min_score=0.2, gathered=0.15, clear=0.6)


def concept(name: str) -> Concept:
    names = {"en": name, "fr": f"{name} (fr)", "zh": f"{name} (zh)"}
    return Concept(name, names, PARENTS.get(name, ""), together=name == "tableware", alias=name == "mug")


@pytest.fixture
def task() -> TagsTask:
    vocabulary = Vocabulary(map(concept, CLASSES), map(concept, ["cat", "dog", "animal", "tableware"]))
    return TagsTask(vocabulary, Keywords(vocabulary), MEASURED)


def probabilities(scores: dict[str, float]) -> np.ndarray:
    """(1, classes), the rest spread thinly over what is never asked for."""
    row = {**dict.fromkeys(CLASSES, 0.0), **scores}
    rest = 1 - sum(row.values())
    assert rest > -1e-6
    return np.float32([[row[name] + (rest if name == "something else" else 0) for name in CLASSES]])


def tags(task: TagsTask, scores: dict[str, float], **options: Any) -> dict[str, float]:
    """English name → score, in the order of the answer."""
    options.setdefault("deny", ())
    wanted = TagsOptions(**{**options, "deny": (*options["deny"], "something else")})
    answer = task.finish({"scores": probabilities(scores)}, wanted, ("en",))
    return {tag.names["en"]: round(tag.score, 4) for tag in answer.tags}


def test_the_most_specific_and_one_friendly_parent(task: TagsTask) -> None:
    assert list(tags(task, {"tabby": 0.6, "teapot": 0.3}).items()) == [
        ("cat", 0.6),
        ("tabby", 0.6),
        ("tableware", 0.3),
        ("teapot", 0.3),
    ], "no 'animal': too many keywords kill keywords"


def test_a_parent_gathers_children_that_are_each_too_weak(task: TagsTask) -> None:
    assert tags(task, {"tabby": 0.15, "Egyptian cat": 0.15, "Siamese cat": 0.15}) == {"cat": 0.45, "animal": 0.45}


def test_a_hunch_spread_over_many_is_no_tag(task: TagsTask) -> None:
    assert tags(task, {"tabby": 0.14, "husky": 0.14}) == {}, "'animal' has 0.28, but nothing under it is likely"
    assert tags(task, {"tabby": 0.17, "husky": 0.17}) == {"animal": 0.34}


def test_a_high_threshold_can_still_be_reached_by_what_is_spread(task: TagsTask) -> None:
    spread = {"tabby": 0.33, "Egyptian cat": 0.33, "Siamese cat": 0.33}
    assert tags(task, spread, min_score=0.9).keys() == {"cat", "animal"}


def test_of_alternatives_only_the_clear_one_is_shown(task: TagsTask) -> None:
    assert tags(task, {"tabby": 0.6, "Egyptian cat": 0.3}).keys() == {"cat", "tabby"}
    assert tags(task, {"tabby": 0.7, "husky": 0.25}).keys() == {"cat", "tabby"}, "one animal is not two"


def test_of_alternatives_none_of_which_is_clear_only_the_parent_is_shown(task: TagsTask) -> None:
    assert tags(task, {"tabby": 0.4, "Egyptian cat": 0.35}).keys() == {"cat", "animal"}
    assert tags(task, {"tabby": 0.4, "husky": 0.35}).keys() == {"animal"}


def test_a_class_that_is_a_parent_competes_with_its_children(task: TagsTask) -> None:
    assert tags(task, {"husky": 0.5, "sled dog": 0.3}).keys() == {"husky", "dog"}
    assert tags(task, {"husky": 0.2, "sled dog": 0.5}).keys() == {"husky", "sled dog"}


def test_what_is_often_seen_together_is_shown_together(task: TagsTask) -> None:
    assert tags(task, {"teapot": 0.4, "cup": 0.35}).keys() == {"tableware", "teapot", "cup"}


def test_an_alias_counts_for_its_parent_and_is_never_shown(task: TagsTask) -> None:
    assert tags(task, {"mug": 0.5, "cup": 0.1}) == {"cup": 0.6, "tableware": 0.6}
    assert tags(task, {"mug": 0.5, "cup": 0.1}, allow=["Mugs"]) == {"cup": 0.6}
    assert tags(task, {"mug": 0.5, "cup": 0.1}, existing_tags=["mug"]) == {"tableware": 0.6}


@pytest.mark.parametrize("seed", range(20))
def test_no_answer_contradicts_itself(task: TagsTask, seed: int) -> None:
    vocabulary = task.vocabulary
    scores = np.random.default_rng(seed).dirichlet(np.full(len(CLASSES), 0.4), size=1)
    answer = task.finish({"scores": scores}, TagsOptions(min_score=0.05, max_tags=50), ("en",)).tags
    places = [vocabulary.index[tag.id] for tag in answer]
    assert places
    for one in places:
        for other in places:
            if one != other and one not in vocabulary.ancestors[other] and other not in vocabulary.ancestors[one]:
                common = set(vocabulary.ancestors[one]) & set(vocabulary.ancestors[other])
                assert all(vocabulary.concepts[place].together for place in common)


def test_nothing_recognised_is_no_tag(task: TagsTask) -> None:
    assert tags(task, dict.fromkeys(CLASSES[:-1], 0.02)) == {}


@pytest.mark.parametrize("row", [[0.0, 0.0], [0.9, 0.9], [-0.5, 1.5], [0.5, 0.4], [math.nan, 0.5]])
def test_what_is_no_probability_is_the_models_failure_and_never_charged(task: TagsTask, row: list[float]) -> None:
    scores = np.zeros((2, len(CLASSES)), np.float32)
    scores[0, 0], scores[1, :2] = 1.0, row
    with pytest.raises(InternalError):
        task.finish({"scores": scores}, TagsOptions(), ("en",))


def test_plain_pages_say_nothing_whatever_the_model_makes_of_them(task: TagsTask) -> None:
    """Of a lone "%" it said "clock", 0.97."""
    blank = np.full((SIDE, SIDE, 3), 250, np.uint8)
    seen = prepare(picture(297, 297))["pixels"][0]
    scores = {"scores": np.concatenate([probabilities({"malamute": 0.97}), probabilities({"tabby": 0.97})])}

    def said(*pixels: np.ndarray) -> set[str]:
        wanted = TagsOptions(min_score=0.0, max_tags=1)
        return {tag.id for tag in task.finish(scores, wanted, ("en",), np.stack(pixels)).tags}

    assert said(blank, blank) == set()
    assert (said(blank, seen), said(seen, blank)) == ({"cat"}, {"dog"}), "of a panorama, that crop alone"


def of_crops(task: TagsTask, *crops: dict[str, float]) -> dict[str, float]:
    scores = np.concatenate([probabilities(crop) for crop in crops])
    answer = task.finish({"scores": scores}, TagsOptions(deny=("something else",)), ("en",))
    return {tag.id: round(tag.score, 2) for tag in answer.tags}


def test_of_several_crops_the_best_score_counts(task: TagsTask) -> None:
    found = of_crops(task, {"tabby": 0.9}, {"tabby": 0.7, "teapot": 0.2}, {"teapot": 0.8}, {})
    assert found == {"cat": 0.9, "tabby": 0.9, "tableware": 0.8, "teapot": 0.8}


def test_alternatives_in_two_crops_are_two_things(task: TagsTask) -> None:
    found = of_crops(task, {"Egyptian cat": 0.95}, {"malamute": 0.93})
    assert found == {"cat": 0.95, "Egyptian cat": 0.95, "dog": 0.93, "malamute": 0.93}
    assert of_crops(task, {"tabby": 0.9}, {"Siamese cat": 0.6}) == {"cat": 0.9, "tabby": 0.9, "Siamese cat": 0.6}


def test_a_crop_that_is_unsure_adds_no_wider_words(task: TagsTask) -> None:
    unsure = {"tabby": 0.4, "Egyptian cat": 0.35}
    assert of_crops(task, unsure) == {"cat": 0.75, "animal": 0.75}
    assert of_crops(task, unsure, {"tabby": 0.7}) == {"cat": 0.75, "tabby": 0.7}


def test_scores_are_sharpened_as_measured(task: TagsTask) -> None:
    sharper = replace(task, calibration=replace(MEASURED, temperature=0.5))
    assert tags(sharper, {"tabby": 0.6, "teapot": 0.3})["tabby"] == round(0.36 / (0.36 + 0.09 + 0.01), 4)


def test_max_tags_keeps_the_best(task: TagsTask) -> None:
    assert list(tags(task, {"tabby": 0.5, "husky": 0.3}, max_tags=2)) == ["cat", "tabby"]


def test_min_score(task: TagsTask) -> None:
    assert ["teapot" in tags(task, {"teapot": 0.3}, min_score=least) for least in (0.3, 0.4)] == [True, False]


def test_existing_tags_are_never_repeated_in_any_language_or_case(task: TagsTask) -> None:
    for existing in (["CAT"], ["cat (fr)"], ["  cat (ZH) "]):
        assert list(tags(task, {"tabby": 0.6}, existing_tags=existing)) == ["tabby"]
    assert tags(task, {"tabby": 0.6}, existing_tags=["cat", "tabby"]) == {}


def test_existing_tags_do_not_eat_the_places_of_new_ones(task: TagsTask) -> None:
    assert list(tags(task, {"tabby": 0.5, "teapot": 0.4}, existing_tags=["cats", "tabby"], max_tags=2)) == [
        "tableware",
        "teapot",
    ]


def test_deny_takes_what_lies_under_it_too(task: TagsTask) -> None:
    assert tags(task, {"tabby": 0.5, "cup": 0.4}, deny=["cats"]).keys() == {"animal", "tableware", "cup"}
    assert tags(task, {"tabby": 0.5, "teapot": 0.4}, deny=["animal"]).keys() == {"tableware", "teapot"}


def test_allow_keeps_what_lies_under_it_and_shows_the_word_itself(task: TagsTask) -> None:
    assert tags(task, {"tabby": 0.5, "teapot": 0.4}, allow=["animal"]).keys() == {"animal", "cat", "tabby"}
    assert tags(task, {"tabby": 0.5, "teapot": 0.4}, allow=["cat"]).keys() == {"cat", "tabby"}
    assert tags(task, {"tabby": 0.5}, allow=["zeppelin"]) == {}, "a list of unknown words allows nothing"


def test_names_in_the_languages_asked_for(task: TagsTask) -> None:
    outputs = {"scores": probabilities({"tabby": 0.9})}
    answer = task.finish(outputs, TagsOptions(), ("fr-CA", "zh_CN", "de", "tlh"))
    (tabby,) = [tag for tag in answer.tags if tag.id == "tabby"]
    assert tabby.names == {"fr": "tabby (fr)", "zh": "tabby (zh)", "en": "tabby"}, (
        "English stands in for what is not spoken"
    )
    assert answer.unknown_languages == ("de", "tlh")
    assert [(parent.id, parent.names["fr"]) for parent in tabby.parents] == [
        ("cat", "cat (fr)"),
        ("animal", "animal (fr)"),
    ]
    assert task.finish(outputs, TagsOptions(), ()).tags[0].names.keys() == {"en"}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (TagsOptions(max_tags=0), "tags.max_tags"),
        (TagsOptions(max_tags=-1), "tags.max_tags"),
        (TagsOptions(max_tags=51), "tags.max_tags"),
        (TagsOptions(min_score=math.nan), "tags.min_score"),
        (TagsOptions(min_score=1.01), "tags.min_score"),
        (TagsOptions(min_score=-math.inf), "tags.min_score"),
        (TagsOptions(deny=("x",) * 2001), "tags.deny"),
    ],
)
def test_absurd_options_are_refused_by_name(task: TagsTask, options: TagsOptions, field: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        task.check(options)
    assert refused.value.field == field


def test_options_within_bounds_pass(task: TagsTask) -> None:
    task.check(TagsOptions(max_tags=50, min_score=1.0, allow=("x",) * 2000))
