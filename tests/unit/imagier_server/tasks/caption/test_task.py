# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imagier_server.errors import InvalidRequestError
from imagier_server.messages import Picture, Tensors
from imagier_server.model_lock import LOCK_NAME, LockedModel, ModelLockError, write_lock_text
from imagier_server.tasks.caption.task import CaptionerAssets, CaptionTask, Confidence, finish, prepare
from imagier_server.tasks.caption.values import CaptionOptions, Captions
from support import made_captioner
from support.made_captioner import END, PAD, SIDE, said

GUESSES = CaptionOptions(include_guesses=True)
LOCKED = LockedModel("captioner", "brand", "1", "source", "d" * 64, 1, "not stated", True, ("en",), {}, {})


@pytest.fixture
def assets(tmp_path: Path) -> CaptionerAssets:
    made_captioner.write_assets(tmp_path)
    return CaptionerAssets.load(tmp_path)


def changed(tmp_path: Path, **settings: Any) -> CaptionerAssets:
    made_captioner.write_assets(tmp_path, **settings)
    return CaptionerAssets.load(tmp_path)


def texts(captions: Captions) -> list[str]:
    return [caption.text for caption in captions.captions]


class Steps:
    """Runs everything at once, and answers as a captioner would."""

    def __init__(self, outputs: Tensors) -> None:
        self.outputs = outputs
        self.asked: list[tuple[str, Tensors]] = []

    async def compute(self, stage: Any, function: Any, *args: Any) -> Any:
        return function(*args)

    async def infer(self, model: str, inputs: Tensors) -> Tensors:
        self.asked.append((model, inputs))
        return self.outputs


PICTURE = Picture(np.zeros((300, 700, 3), np.uint8), 1400, 600)


def test_the_whole_picture_is_squashed() -> None:
    pixels = np.zeros((300, 700, 3), np.uint8)
    pixels[:, 350:] = 255
    made = prepare(Picture(pixels, 1400, 600), SIDE)["pixels"]
    assert (made.shape, made.dtype) == ((1, SIDE, SIDE, 3), np.uint8)
    assert made[0, :, :100].max() == 0
    assert made[0, :, 124:].min() == 255


def test_the_shorter_side_is_enough(assets: CaptionerAssets) -> None:
    assert CaptionTask(assets).scale(4480, 2240) == 0.1
    assert CaptionTask(assets).scale(100, 50) == 1
    assert 0 < CaptionTask(None).scale(4480, 2240) < 0.01, "not installed, it asks for next to nothing"


async def test_one_inference_and_a_sentence(assets: CaptionerAssets) -> None:
    steps = Steps(said("a photo of a brown dog jumping into a pool"))
    answer = await CaptionTask(assets).run(PICTURE, CaptionOptions(), (), steps)
    (caption,) = answer.captions
    assert (caption.text, caption.language, caption.guess) == ("A brown dog jumping into a pool.", "en", False)
    assert answer.title == "Brown dog jumping into pool"
    assert answer.unknown_languages == ()
    ((model, inputs),) = steps.asked
    assert (model, inputs["pixels"].shape) == ("captioner", (1, SIDE, SIDE, 3))


def test_the_score_is_the_regression_on_the_mean_and_the_length() -> None:
    confidence = Confidence(intercept=0.5, mean_log_probability=2.0, tokens=-0.1)
    assert confidence.score(-6.0, 12) == pytest.approx(1 / (1 + math.exp(-(0.5 - 1.0 - 1.2))))
    assert confidence.score(-math.inf, 1) == pytest.approx(0, abs=1e-30)
    assert 0 <= confidence.score(math.nan, 1) <= 1


def test_tokens_are_counted_up_to_and_with_the_end(assets: CaptionerAssets) -> None:
    (token_ids,) = said("a dog")["token_ids"][0].tolist()
    assert assets.read(token_ids) == ("a dog", 3, True)
    assert assets.read(token_ids[:2]) == ("a dog", 2, False)
    assert assets.read([PAD, PAD]) == ("", 0, False)
    assert assets.read([END, PAD]) == ("", 1, True)


@pytest.mark.parametrize(("probability", "guess"), [(0.9, False), (0.1, True)])
def test_what_is_not_sure_is_marked(assets: CaptionerAssets, probability: float, guess: bool) -> None:
    (caption,) = finish(assets, said("a dog", probability=probability), GUESSES, "en").captions
    assert caption.guess is guess
    assert (caption.score < made_captioner.MIN_SCORE) is guess


def test_a_guess_is_no_answer_unless_it_is_asked_for(assets: CaptionerAssets) -> None:
    unsure = said("a dog in the snow", "a man", probability=0.1)
    wanted = CaptionOptions(candidates=2)
    assert finish(assets, unsure, wanted, "en") == Captions((), "", guesses_left_out=2)
    asked = finish(assets, unsure, replace(wanted, include_guesses=True), "en")
    assert (len(asked.captions), asked.title, asked.guesses_left_out) == (2, "Dog in snow", 0)


def test_asking_for_guesses_adds_to_the_answer_and_changes_nothing_of_it(assets: CaptionerAssets) -> None:
    mixed = said("a dog in the snow", "a brown dog", "a man in a hat")
    mixed["log_probabilities"][0, 0] *= 30
    for candidates, sure, left_out in (
        (1, [], 1),
        (2, ["A brown dog."], 1),
        (3, ["A brown dog.", "A man in a hat."], 1),
    ):
        wanted = CaptionOptions(candidates=candidates)
        answer = finish(assets, mixed, wanted, "en")
        assert (texts(answer), answer.guesses_left_out) == (sure, left_out)
        assert answer.title == ("Brown dog" if sure else "")
        asked = finish(assets, mixed, replace(wanted, include_guesses=True), "en")
        assert tuple(caption for caption in asked.captions if not caption.guess) == answer.captions
        assert texts(asked)[0] == "A dog in the snow."


def test_a_caller_has_a_threshold_of_its_own(assets: CaptionerAssets) -> None:
    outputs = said("a dog", probability=0.5)
    (caption,) = finish(assets, outputs, CaptionOptions(), "en").captions
    for min_score, guess in ((caption.score - 0.01, False), (caption.score + 0.01, True), (0.0, False), (1.0, True)):
        assert finish(assets, outputs, replace(GUESSES, min_score=min_score), "en").captions[0].guess is guess


def test_of_a_model_that_nobody_has_measured_every_caption_is_a_guess(tmp_path: Path) -> None:
    unmeasured = changed(tmp_path, confidence=None)
    outputs = said("a dog", probability=1.0)
    (caption,) = finish(unmeasured, outputs, replace(GUESSES, min_score=0.0), "en").captions
    assert (caption.score, caption.guess) == (0.0, True)
    assert finish(unmeasured, outputs, CaptionOptions(min_score=0.0), "en") == Captions((), guesses_left_out=1)


def test_no_two_captions_are_alike(assets: CaptionerAssets) -> None:
    outputs = said("a dog in the snow", "a dog in snow", "a photo of a dog in the snow", "a black dog")
    assert texts(finish(assets, outputs, CaptionOptions(candidates=5), "en")) == ["A dog in the snow.", "A black dog."]
    assert texts(finish(assets, outputs, CaptionOptions(), "en")) == ["A dog in the snow."]


def test_nothing_said_is_no_caption(assets: CaptionerAssets) -> None:
    assert finish(assets, said("", "a photo of"), CaptionOptions(candidates=2), "en") == Captions(())
    assert texts(finish(assets, said("", "a dog"), CaptionOptions(), "en")) == ["A dog."]


def test_what_runs_out_of_room_ends_where_a_phrase_does(assets: CaptionerAssets) -> None:
    assert texts(finish(assets, said("a dog runs on the black", ended=False), CaptionOptions(), "en")) == [
        "A dog runs."
    ]


def test_one_that_fits_comes_before_one_that_is_cut(assets: CaptionerAssets) -> None:
    outputs = said("a man in a red shirt is standing on the rock", "a man on a rock")
    wanted = CaptionOptions(max_words=5, candidates=2)
    assert texts(finish(assets, outputs, wanted, "en")) == ["A man on a rock.", "A man."]
    assert texts(finish(assets, outputs, CaptionOptions(max_words=8), "en")) == ["A man on a rock."]


def test_without_gender(assets: CaptionerAssets) -> None:
    outputs = said("a man and a woman in the snow", "a man in his hat")
    answer = finish(assets, outputs, CaptionOptions(candidates=2, gender_neutral=True), "en")
    assert texts(answer) == ["Two people in the snow.", "A person in their hat."]
    assert answer.title == "Two people in snow"


def test_what_every_answer_begins_with_is_left_out(tmp_path: Path) -> None:
    prompted = changed(tmp_path, prefix="a picture of")
    assert texts(finish(prompted, said("a picture of a dog"), CaptionOptions(), "en")) == ["A dog."]


@pytest.mark.parametrize(
    ("asked", "language", "unknown"),
    [
        ((), "en", ()),
        (("en-GB",), "en", ()),
        (("fr", "en"), "en", ("fr",)),
        (("en", "tlh", "fr", "fr"), "en", ("tlh", "fr")),
    ],
)
async def test_a_list_that_holds_a_spoken_language_is_answered_in_it(
    assets: CaptionerAssets, asked: tuple[str, ...], language: str, unknown: tuple[str, ...]
) -> None:
    answer = await CaptionTask(assets).run(PICTURE, CaptionOptions(), asked, Steps(said("a dog")))
    assert (answer.captions[0].language, answer.unknown_languages) == (language, unknown)


async def test_languages_of_which_none_is_spoken_fail_before_the_model_is_asked(assets: CaptionerAssets) -> None:
    steps = Steps(said("a dog"))
    with pytest.raises(InvalidRequestError, match="en only") as refused:
        await CaptionTask(assets).run(PICTURE, CaptionOptions(), ("fr", "zh"), steps)
    assert (refused.value.field, refused.value.retry_after) == ("languages", None)
    assert not steps.asked


async def test_another_language_is_not_worded_as_english_is(tmp_path: Path) -> None:
    polyglot = CaptionTask(changed(tmp_path, languages=["en", "fr"]))
    answer = await polyglot.run(PICTURE, CaptionOptions(), ("fr",), Steps(said("a dog in the")))
    assert (texts(answer), answer.captions[0].language) == (["A dog in the."], "fr")
    with pytest.raises(InvalidRequestError) as refused:
        await polyglot.run(PICTURE, CaptionOptions(gender_neutral=True), ("fr",), Steps(said("a dog")))
    assert refused.value.field == "caption.gender_neutral"


def test_of_another_language_the_first_words_are_taken(assets: CaptionerAssets) -> None:
    outputs = said("a man is at a hat with the red", "a man is at hat with the red")
    answer = finish(assets, outputs, CaptionOptions(candidates=2), "fr")
    assert texts(answer) == ["A man is at a hat with the red.", "A man is at hat with the red."], "two, for all we know"
    assert answer.title == "A man is at a hat"
    assert texts(finish(assets, outputs, CaptionOptions(max_words=4), "fr")) == ["A man is at."]
    assert finish(assets, said("."), CaptionOptions(), "fr") == Captions(())


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (CaptionOptions(max_words=3), "max_words"),
        (CaptionOptions(max_words=51), "max_words"),
        (CaptionOptions(candidates=0), "candidates"),
        (CaptionOptions(candidates=6), "candidates"),
        (CaptionOptions(min_score=-0.1), "min_score"),
        (CaptionOptions(min_score=1.1), "min_score"),
        (CaptionOptions(min_score=math.nan), "min_score"),
    ],
)
def test_options_out_of_range(assets: CaptionerAssets, options: CaptionOptions, field: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        CaptionTask(assets).check(options)
    assert refused.value.field == f"caption.{field}"
    CaptionTask(assets).check(CaptionOptions(max_words=4, candidates=5, min_score=1.0))


def test_the_catalogue_says_what_the_assets_say(assets: CaptionerAssets) -> None:
    task = CaptionTask(assets)
    assert task.languages == ("en",)
    assert {option.name: option.default for option in task.options}["min_score"] == str(made_captioner.MIN_SCORE)


def test_a_server_may_do_without_a_captioner(tmp_path: Path) -> None:
    made_captioner.write_assets(tmp_path / "captioner" / "assets")
    assert CaptionTask.load(tmp_path) == CaptionTask(None), "assets alone are no captioner"
    assert CaptionTask.load(tmp_path).languages == ()
    (tmp_path / LOCK_NAME).write_text(write_lock_text({"captioner": LOCKED}), "utf-8")
    assert CaptionTask.load(tmp_path).languages == ("en",)


@pytest.mark.parametrize("name", ["captioner.json", "tokenizer.json"])
@pytest.mark.parametrize("content", [None, "", "{}", "[1]"])
def test_damaged_assets_say_what_to_do(tmp_path: Path, name: str, content: str | None) -> None:
    made_captioner.write_assets(tmp_path)
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(ModelLockError, match="install it again"):
        CaptionerAssets.load(tmp_path)
