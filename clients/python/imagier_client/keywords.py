# SPDX-License-Identifier: Apache-2.0
"""Matching a library's keywords with tags: the client's values, and their conversion to protobuf and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from imagier.v1 import keywords_pb2

from imagier_client.arguments import strings
from imagier_client.tasks.tags import TagParent
from imagier_client.tasks.wire import fill, ordered_names

MOST_IN_A_CALL: Final = 5000
"""The contract's limit for one call; more are sent in several calls."""


@dataclass(frozen=True, slots=True)
class KeywordMeaning:
    """A tag that a keyword stands for. `kind` says how it was found: "id", "name", "variant" or "synonym"."""

    id: str
    names: dict[str, str] = field(hash=False)
    kind: str
    parents: tuple[TagParent, ...] = ()

    @property
    def name(self) -> str:
        """Its name in the first language that was asked for and is known."""
        return next(iter(self.names.values()), self.id)


@dataclass(frozen=True, slots=True)
class KeywordMatch:
    """A keyword and what it means: nothing, one tag, or several if it is ambiguous."""

    keyword: str
    meanings: tuple[KeywordMeaning, ...]


@dataclass(frozen=True, slots=True)
class KeywordMatches:
    """The matches, one for each keyword, in their order. English stands in for `unknown_languages`."""

    matches: tuple[KeywordMatch, ...]
    unknown_languages: tuple[str, ...] = ()


def encode_keywords(
    keywords: Iterable[str], languages: Sequence[str], keyword_languages: Sequence[str]
) -> list[keywords_pb2.MatchKeywordsRequest]:
    """Makes the requests, one for each call that is needed; none without a keyword. Raises InvalidRequestError."""
    listed = strings(keywords, "keywords")
    languages = strings(languages, "languages")
    keyword_languages = strings(keyword_languages, "keyword_languages")
    requests = []
    for begin in range(0, len(listed), MOST_IN_A_CALL):
        request = keywords_pb2.MatchKeywordsRequest()
        some = listed[begin : begin + MOST_IN_A_CALL]
        fill(request, keywords=some, languages=languages, keyword_languages=keyword_languages)
        requests.append(request)
    return requests


def decode_keywords(replies: Sequence[keywords_pb2.MatchKeywordsResponse], languages: Sequence[str]) -> KeywordMatches:
    """Joins the replies of all calls. Names come in the order of `languages`, those asked for."""

    def meaning(message: keywords_pb2.KeywordMeaning) -> KeywordMeaning:
        parents = (TagParent(parent.id, ordered_names(parent.names, languages)) for parent in message.parents)
        kinds = keywords_pb2.MatchKind
        known = kinds.Name(message.kind) if message.kind in kinds.values() else "MATCH_KIND_UNSPECIFIED"
        kind = known.removeprefix("MATCH_KIND_").lower()
        return KeywordMeaning(message.id, ordered_names(message.names, languages), kind, tuple(parents))

    return KeywordMatches(
        tuple(
            KeywordMatch(match.keyword, tuple(map(meaning, match.meanings)))
            for reply in replies
            for match in reply.matches
        ),
        tuple(dict.fromkeys(language for reply in replies for language in reply.unknown_languages)),
    )
