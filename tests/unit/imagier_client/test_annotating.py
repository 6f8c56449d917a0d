# SPDX-License-Identifier: Apache-2.0
"""The arguments of `imagier annotate`; what it does with them is proved before a scripted server."""

from __future__ import annotations

from pathlib import Path

import pytest
from imagier_client.annotating import annotate, arguments


def test_the_defaults() -> None:
    options = arguments(["a.jpg", "b"])
    assert options.paths == [Path("a.jpg"), Path("b")]
    assert (options.tasks, options.languages, options.format) == (("tags", "text"), ("en",), "table")
    assert (options.server, options.draw, options.max_tags, options.min_score) == (None, None, None, None)
    assert options.concurrency == 8


def test_lists_are_forgiving() -> None:
    options = arguments(["a", "--tasks", "text, tags,", "--languages", " fr,en "])
    assert (options.tasks, options.languages) == (("text", "tags"), ("fr", "en"))


def test_captions_and_how_they_are_wanted() -> None:
    options = arguments(["a", "--tasks", "caption", "--candidates", "3", "--max-words", "9", "--gender-neutral"])
    assert (options.tasks, options.candidates, options.max_words) == (("caption",), 3, 9)
    assert options.gender_neutral
    assert not arguments(["a"]).gender_neutral


def test_documents_hold_text() -> None:
    assert arguments(["a", "--format", "alto"]).tasks == ("text",)
    assert arguments(["a", "--format", "hocr", "--tasks", "tags"]).tasks == ("tags", "text")


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["a", "--tasks", "text,smell"],
        ["a", "--tasks", ","],
        ["a", "--concurrency", "0"],
        ["a", "--concurrency", "-1"],
        ["a", "--max-tags", "x"],
        ["a", "--max-tags", "0"],
        ["a", "--max-tags", "99999999999"],
        ["a", "--min-score", "2"],
        ["a", "--min-score", "nan"],
        ["a", "--min-score", "much"],
        ["a", "--candidates", "-1"],
        ["a", "--max-words", "0"],
        ["a", "--serve", "x"],
        ["a", "--out", "x"],
    ],
)
def test_wrong_usage_ends_with_two(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        annotate(wrong)
    assert caught.value.code == 2
