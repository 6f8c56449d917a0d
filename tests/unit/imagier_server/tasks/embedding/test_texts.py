# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from imagier_server.errors import InvalidRequestError
from imagier_server.tasks.embedding.texts import MAX_CHARACTERS, ROWS, TextSide, check_texts
from support import made_embedder
from support.made_embedder import CONTEXT, PAD


def side(padding: str = "longest") -> TextSide:
    return TextSide.of({"context": CONTEXT, "pad": PAD, "padding": padding}, made_embedder.tokenizer())


def test_each_text_is_its_words_filled_to_the_longest_or_the_context() -> None:
    for padding in ("longest", "context"):
        (batch,) = side(padding).tokenise(["red car", "cat"]).batches
        assert batch.places == (1, 0)
        assert batch.inputs["tokens"].tolist() == [[1, *[PAD] * 5], [3, 4, *[PAD] * 4]]


def test_a_longer_text_is_cut_and_says_so() -> None:
    found = side().tokenise(["cat " * CONTEXT, "cat " * (CONTEXT + 1)])
    assert found.truncated == (False, True)
    assert found.batches[0].inputs["tokens"].shape == (2, CONTEXT)


def test_many_texts_are_batches_of_bounded_size_that_hold_each_text_once() -> None:
    texts = ["cat " * (place % CONTEXT + 1) for place in range(3 * ROWS + 1)]
    batches = side().tokenise(texts).batches
    assert sorted(place for batch in batches for place in batch.places) == list(range(len(texts)))
    for batch in batches:
        assert len(batch.places) <= ROWS
        counts = (batch.inputs["tokens"] != PAD).sum(axis=1)
        assert counts.tolist() == [place % CONTEXT + 1 for place in batch.places]
        assert batch.inputs["tokens"].dtype == np.int64


@pytest.mark.parametrize(
    ("texts", "field"),
    [
        ((), "texts"),
        (("cat",) * 257, "texts"),
        (("cat", ""), "texts[1]"),
        (("cat", " \n\t"), "texts[1]"),
        (("cat", "\u200b\ufeff\0 \u2060"), "texts[1]"),
        (("x" * (MAX_CHARACTERS + 1),), "texts[0]"),
    ],
)
def test_what_is_no_text_is_refused_by_its_place(texts: tuple[str, ...], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_texts(texts)
    assert caught.value.field == field


def test_as_many_and_as_long_as_allowed() -> None:
    check_texts(("x" * MAX_CHARACTERS,) * 256)
    check_texts(("\ufeffcat", "🐈", "猫", "\u200bनमस्ते"))
