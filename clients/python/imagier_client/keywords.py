# SPDX-License-Identifier: Apache-2.0
"""What the keywords of a library mean to a server: the client's values, and how they go over the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from imagier.v1 import keywords_pb2

from imagier_client.codec import filled, ordered_names
from imagier_client.messages import TagParent

MOST_IN_A_CALL: Final = 5000
"""What the contract allows; more are sent in several calls."""


@dataclass(frozen=True, slots=True)
class KeywordMeaning:
    """A tag that a keyword stands for. `kind` says how it was found: "id", "name", "variant" or "synonym"."""

    id: str
    names: Mapping[str, str]
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
    """One match for each keyword, in their order. English stands in for `unknown_languages`."""

    matches: tuple[KeywordMatch, ...]
    unknown_languages: tuple[str, ...] = ()


def encode_keywords(
    keywords: Iterable[str], languages: Sequence[str], keyword_languages: Sequence[str]
) -> list[keywords_pb2.MatchKeywordsRequest]:
    """One request for each call that is needed; none for no keyword. Raises InvalidRequestError."""
    listed = list(keywords)
    return [
        filled(
            keywords_pb2.MatchKeywordsRequest(),
            keywords=listed[begin : begin + MOST_IN_A_CALL],
            languages=languages,
            keyword_languages=keyword_languages,
        )
        for begin in range(0, len(listed), MOST_IN_A_CALL)
    ]


def decode_keywords(replies: Sequence[keywords_pb2.MatchKeywordsResponse], languages: Sequence[str]) -> KeywordMatches:
    """The replies of all calls as one answer. `languages` are those asked for: names are wanted in their order."""

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
