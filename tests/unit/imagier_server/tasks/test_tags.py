# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from imagier_server.errors import InvalidRequestError
from imagier_server.messages import Picture, TagsOptions
from imagier_server.tasks.keywords import Keywords
from imagier_server.tasks.tags import SIDE, TagsTask, prepare
from imagier_server.tasks.vocabulary import Concept, Vocabulary
from PIL import Image

CLASSES = ["tabby", "Egyptian cat", "Siamese cat", "husky", "teapot"]
PARENTS = {
    "tabby": "cat",
    "Egyptian cat": "cat",
    "Siamese cat": "cat",
    "husky": "dog",
    "cat": "animal",
    "dog": "animal",
}


def concept(name: str) -> Concept:
    return Concept(name, {"en": name, "fr": f"{name} (fr)", "zh": f"{name} (zh)"}, PARENTS.get(name, ""))


@pytest.fixture
def task() -> TagsTask:
    vocabulary = Vocabulary(map(concept, CLASSES), map(concept, ["cat", "dog", "animal"]))
    return TagsTask(vocabulary, Keywords(vocabulary), default_min_score=0.2)


def tags(task: TagsTask, scores: dict[str, float], **options: Any) -> dict[str, float]:
    """English name → score, in the order of the answer."""
    outputs = {"scores": np.float32([[scores.get(name, 0) for name in CLASSES]])}
    return {tag.names["en"]: round(tag.score, 4) for tag in task.finish(outputs, TagsOptions(**options), ("en",)).tags}


def test_the_most_specific_and_one_friendly_parent(task: TagsTask) -> None:
    assert list(tags(task, {"tabby": 0.6, "teapot": 0.3}).items()) == [("cat", 0.6), ("tabby", 0.6), ("teapot", 0.3)], (
        "no 'animal': too many keywords kill keywords"
    )


def test_a_parent_gathers_children_that_are_each_too_weak(task: TagsTask) -> None:
    assert tags(task, {"tabby": 0.15, "Egyptian cat": 0.15, "Siamese cat": 0.15}) == {"cat": 0.45, "animal": 0.45}


def test_a_hunch_spread_over_many_is_no_tag(task: TagsTask) -> None:
    assert tags(task, {"tabby": 0.15, "husky": 0.15}) == {}, "'animal' has 0.3, but nothing under it is likely"


def test_nothing_recognised_is_no_tag(task: TagsTask) -> None:
    assert tags(task, dict.fromkeys(CLASSES, 0.02)) == {}


def test_max_tags_keeps_the_best(task: TagsTask) -> None:
    assert list(tags(task, {"tabby": 0.5, "husky": 0.3}, max_tags=2)) == ["cat", "tabby"]


def test_min_score(task: TagsTask) -> None:
    assert "teapot" not in tags(task, {"tabby": 0.6, "teapot": 0.3}, min_score=0.4)
    assert "teapot" in tags(task, {"tabby": 0.6, "teapot": 0.3}, min_score=0.3)


def test_existing_tags_are_never_repeated_in_any_language_or_case(task: TagsTask) -> None:
    for existing in (["CAT"], ["cat (fr)"], ["  cat (ZH) "]):
        assert list(tags(task, {"tabby": 0.6}, existing_tags=existing)) == ["tabby"]
    assert tags(task, {"tabby": 0.6}, existing_tags=["cat", "tabby"]) == {}


def test_existing_tags_do_not_eat_the_places_of_new_ones(task: TagsTask) -> None:
    assert list(tags(task, {"tabby": 0.5, "husky": 0.4}, existing_tags=["cat", "tabby"], max_tags=2)) == [
        "dog",
        "husky",
    ]


def test_deny_takes_what_lies_under_it_too(task: TagsTask) -> None:
    assert tags(task, {"tabby": 0.5, "husky": 0.4}, deny=["cat"]).keys() == {"dog", "husky"}
    assert tags(task, {"tabby": 0.5, "teapot": 0.4}, deny=["animal"]).keys() == {"teapot"}


def test_allow_keeps_what_lies_under_it_and_shows_the_word_itself(task: TagsTask) -> None:
    assert tags(task, {"tabby": 0.5, "teapot": 0.4}, allow=["animal"]).keys() == {"animal", "cat", "tabby"}
    assert tags(task, {"tabby": 0.5, "teapot": 0.4}, allow=["cat"]).keys() == {"cat", "tabby"}
    assert tags(task, {"tabby": 0.5}, allow=["zeppelin"]) == {}, "a list of unknown words allows nothing"


def test_names_in_the_languages_asked_for(task: TagsTask) -> None:
    outputs = {"scores": np.float32([[0.9, 0, 0, 0, 0]])}
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


def picture(width: int, height: int) -> Picture:
    """Blue grows to the right, red downwards."""
    across = np.linspace(0, 255, width).astype(np.uint8)
    down = np.linspace(0, 255, height).astype(np.uint8)
    pixels = np.stack(np.broadcast_arrays(down[:, None], np.uint8(0), across[None, :]), axis=-1)
    return Picture(np.ascontiguousarray(pixels), width, height)


@pytest.mark.parametrize(
    "size", [(297, 297), (446, 297), (297, 600), (1000, 800), (20, 30), (1, 1), (20_000, 1), (1, 5000)]
)
def test_prepare_always_gives_the_models_input(task: TagsTask, size: tuple[int, int]) -> None:
    pixels = prepare(picture(*size))["pixels"]
    assert pixels.shape == (1, SIDE, SIDE, 3)
    assert pixels.dtype == np.uint8
    assert 0 < task.scale(*size) <= 1


def test_prepare_takes_the_centre(task: TagsTask) -> None:
    """Whatever the size it was decoded at, the same part of the picture is seen."""
    exact = prepare(picture(446, 297))["pixels"].astype(int)
    larger = prepare(picture(892, 594))["pixels"].astype(int)
    assert np.abs(exact - larger).mean() < 1.5
    reference = (
        Image.fromarray(picture(892, 594).pixels).resize((446, 297), Image.Resampling.BICUBIC).crop((93, 18, 353, 278))
    )
    assert np.abs(np.asarray(reference).astype(int) - larger[0]).mean() < 1
    assert task.scale(892, 594) == 0.5
