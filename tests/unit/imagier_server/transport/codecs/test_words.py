# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from imagier_server.transport.codecs.registry import codecs
from imagier_server.transport.codecs.words import Said, Words
from support.asked_models import NOTHING, RESULTS


def words(task: str) -> Words:
    found = codecs()[task].words
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("task", "field", "said"),
    [
        ("caption", "caption", [Said("A cat sits on a rock.", 0.7)]),
        ("caption", "title", [Said("Cat sitting on rock", 0.7)]),
        ("tags", "tags", [Said("tabby", 0.9), Said("cat", 0.95)]),
        ("ocr", "text", [Said("STOP", 0.99), Said("HERE", 0.8)]),
    ],
)
def test_a_result_says_words_with_their_scores(task: str, field: str, said: list[Said]) -> None:
    assert words(task).fields[field].read(RESULTS[task], ()) == said
    assert words(task).fields[field].read(NOTHING[task], ()) == []


@pytest.mark.parametrize(("task", "field"), [("caption", "caption"), ("tags", "tags"), ("ocr", "text")])
def test_plain_text_is_the_first_field(task: str, field: str) -> None:
    assert words(task).plain(RESULTS[task], ()) == words(task).fields[field].read(RESULTS[task], ())


def test_a_tag_is_named_in_the_first_language_that_it_has() -> None:
    named = words("tags").fields["labels"].read(RESULTS["tags"], ("de", "fr", "en"))
    assert [each.text for each in named] == ["chat tigré", "chat"]
