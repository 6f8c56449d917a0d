# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from imagier.v1 import keywords_pb2
from imagier_client.errors import InvalidRequestError
from imagier_client.keywords import MOST_IN_A_CALL, KeywordMatches, decode_keywords, encode_keywords


def test_as_many_calls_as_needed() -> None:
    keywords = [str(number) for number in range(2 * MOST_IN_A_CALL + 1)]
    requests = encode_keywords(iter(keywords), ["fr"], ["en"])
    assert [len(request.keywords) for request in requests] == [MOST_IN_A_CALL, MOST_IN_A_CALL, 1]
    assert [keyword for request in requests for keyword in request.keywords] == keywords
    assert {tuple(request.languages) for request in requests} == {("fr",)}
    assert {tuple(request.keyword_languages) for request in requests} == {("en",)}
    assert encode_keywords([], ["fr"], []) == []


@pytest.mark.parametrize("field", ["keywords", "languages", "keyword_languages"])
def test_what_cannot_be_sent_names_its_field(field: str) -> None:
    asked = {"keywords": ["cat"], "languages": [], "keyword_languages": [], field: ["caf\udce9"]}
    with pytest.raises(InvalidRequestError) as raised:
        encode_keywords(**asked)
    assert raised.value.field == field


def test_replies_become_one_answer() -> None:
    first = keywords_pb2.MatchKeywordsResponse(unknown_languages=["de"])
    meaning = first.matches.add(keyword="chats").meanings.add(
        id="n02121620", kind=keywords_pb2.MATCH_KIND_VARIANT, names={"en": "cat", "fr": "chat"}
    )
    meaning.parents.add(id="n00015388", names={"en": "animal", "fr": "animal"})
    second = keywords_pb2.MatchKeywordsResponse(unknown_languages=["de"])
    second.matches.add(keyword="zzz")
    answer = decode_keywords([first, second], ["fr", "en"])
    assert [match.keyword for match in answer.matches] == ["chats", "zzz"]
    (cat,) = answer.matches[0].meanings
    assert (cat.id, cat.kind, cat.name, list(cat.names)) == ("n02121620", "variant", "chat", ["fr", "en"])
    assert [parent.id for parent in cat.parents] == ["n00015388"]
    assert answer.matches[1].meanings == ()
    assert answer.unknown_languages == ("de",)
    assert decode_keywords([], ["fr"]) == KeywordMatches(())


def test_a_kind_that_a_newer_server_knows_is_no_error() -> None:
    reply = keywords_pb2.MatchKeywordsResponse()
    reply.matches.add(keyword="cat").meanings.add(id="n02121620").kind = 99  # type: ignore[assignment]
    assert decode_keywords([reply], ["en"]).matches[0].meanings[0].kind == "unspecified"
