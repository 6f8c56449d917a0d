# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from imagier_server.errors import InvalidRequestError, ModelNotInstalledError
from imagier_server.messages import Picture, Tensors
from imagier_server.tasks.embedding.candidates import ScoredCandidates, check_candidates, ranked
from imagier_server.tasks.embedding.concepts import Concepts
from imagier_server.tasks.embedding.space import Space
from imagier_server.tasks.embedding.texts import TextSide
from imagier_server.tasks.embedding.values import Candidate, SpaceInfo
from support import made_embedder
from support.made_embedder import CONTEXT, DIMENSION, PAD

TEXTS = TextSide.of({"context": CONTEXT, "pad": PAD, "padding": "longest"}, made_embedder.tokenizer())
# Of one thing each: what the text "cat" stands for, and "dog".
CONCEPTS = Concepts(made_embedder.embedded(np.array([[1], [2]])), best=1)
SPACE = Space(SpaceInfo("made-8", DIMENSION), CONCEPTS, TEXTS)
PICTURE = Picture(np.zeros((4, 4, 3), np.uint8), 4, 4)
OF_A_DOG = {"scores": np.array([[0.1, 0.9]], np.float32)}


class Steps:
    """Runs everything at once, and counts the texts that the model is asked."""

    def __init__(self) -> None:
        self.texts = 0

    async def compute(self, stage: Any, function: Any, *args: Any) -> Any:
        return function(*args)

    async def infer(self, model: str, inputs: Tensors) -> Tensors:
        assert model == "text_embedder"
        tokens = np.asarray(inputs["tokens"])
        self.texts += len(tokens)
        return {"vector": made_embedder.embedded(tokens)}


async def found(scored: ScoredCandidates, steps: Steps, *candidates: Candidate, most: int = 8) -> list[str]:
    best = await scored.found(candidates, PICTURE, OF_A_DOG, most, steps)
    assert [each.similarity for each in best] == sorted((each.similarity for each in best), reverse=True)
    return [each.label for each in best]


async def test_the_label_that_fits_the_picture_comes_first() -> None:
    assert await found(ScoredCandidates(SPACE), Steps(), Candidate("cat"), Candidate("dog")) == ["dog", "cat"]


async def test_prompts_stand_for_a_label_and_only_the_best_are_told() -> None:
    own = (Candidate("Pet 1", ("cat", "red cat")), Candidate("Pet 2", ("house dog", "dog")), Candidate("car"))
    assert await found(ScoredCandidates(SPACE), Steps(), *own, most=1) == ["Pet 2"]


async def test_a_text_is_embedded_once_as_long_as_it_is_kept() -> None:
    scored, steps = ScoredCandidates(SPACE, kept=2), Steps()
    for _ in range(3):
        await found(scored, steps, Candidate("cat"), Candidate("dog", ("dog", "cat")))
    assert steps.texts == 2
    await found(scored, steps, Candidate("red"), Candidate("car"))
    await found(scored, steps, Candidate("cat"))
    assert steps.texts == 5


async def test_more_texts_than_are_kept_are_all_scored() -> None:
    own = [Candidate(word) for word in ("cat", "dog", "red", "car", "house")]
    assert sorted(await found(ScoredCandidates(SPACE, kept=1), Steps(), *own)) == sorted(each.label for each in own)


@pytest.mark.parametrize("space", [None, Space(SPACE.info, CONCEPTS, None), Space(SPACE.info, None, TEXTS)])
async def test_without_both_sides_there_are_no_candidates(space: Space | None) -> None:
    with pytest.raises(ModelNotInstalledError):
        await found(ScoredCandidates(space), Steps(), Candidate("cat"))


def test_texts_that_cancel_out_are_like_nothing() -> None:
    vectors = {"up": np.float32([1, 0]), "down": np.float32([-1, 0])}
    (one,) = ranked([Candidate("both", ("up", "down"))], vectors, np.float32([1, 0]), 1)
    assert one.similarity == 0


@pytest.mark.parametrize(
    ("candidates", "field"),
    [
        ([Candidate(str(number)) for number in range(1001)], "c"),
        ([Candidate(str(number), ("a", "b", "c")) for number in range(667)], "c"),
        ([Candidate("cat"), Candidate(" ")], "c[1].label"),
        ([Candidate("\u200b")], "c[0].label"),
        ([Candidate("cat", ("\ufeff",))], "c[0].prompts[0]"),
        ([Candidate("c" * 201)], "c[0].label"),
        ([Candidate("cat"), Candidate("cat")], "c[1].label"),
        ([Candidate("cat", ("a",) * 17)], "c[0].prompts"),
        ([Candidate("cat", ("a", ""))], "c[0].prompts[1]"),
        ([Candidate("cat", ("a" * 1001,))], "c[0].prompts[0]"),
    ],
)
def test_what_is_no_vocabulary_is_refused_by_its_place(candidates: Sequence[Candidate], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_candidates(candidates, "c")
    assert caught.value.field == field


def test_a_thousand_are_allowed() -> None:
    check_candidates([Candidate(str(number), ("a", "b")) for number in range(1000)], "c")
