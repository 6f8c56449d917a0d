# SPDX-License-Identifier: Apache-2.0
"""The tags task in protobuf."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from imagier.v1 import tags_pb2

from imagier_server.tasks.embedding.values import Candidate
from imagier_server.tasks.tags.values import Tag, TagParent, Tags, TagsOptions
from imagier_server.transport.codecs.codec import TaskCodec, first, unset
from imagier_server.transport.codecs.words import Field, Form, Said, Words


def read(message: tags_pb2.TagsOptions) -> TagsOptions:
    """The options as a value."""
    return TagsOptions(
        max_tags=unset(message, "max_tags"),
        min_score=unset(message, "min_score"),
        allow=first(message.allow),
        deny=first(message.deny),
        existing_tags=first(message.existing_tags),
        candidates=tuple(Candidate(each.label, first(each.prompts)) for each in first(message.candidates)),
        taught=first(message.taught),
    )


def write(result: tags_pb2.TagsResult, tags: Tags, size: tuple[int, int]) -> None:
    """Write the tags into the message."""
    del size
    result.tags.extend(_tag(tag) for tag in tags.tags)
    result.unknown_languages.extend(tags.unknown_languages)
    result.candidates.extend(
        tags_pb2.FoundCandidate(label=each.label, similarity=each.similarity) for each in tags.candidates
    )
    result.taught.extend(tags_pb2.TaughtLabel(label=each.label, score=each.score) for each in tags.taught)


def parents(found: Iterable[TagParent]) -> Iterable[tags_pb2.TagParent]:
    """Parents as messages, nearest first."""
    return (tags_pb2.TagParent(id=parent.id, names=parent.names) for parent in found)


def _tag(tag: Tag) -> tags_pb2.Tag:
    return tags_pb2.Tag(
        id=tag.id, names=tag.names, score=tag.score, origin=tags_pb2.ORIGIN_MACHINE, parents=parents(tag.parents)
    )


def said(tags: Tags, languages: Sequence[str]) -> Sequence[Said]:
    """The tags' names in the first of the languages that they have, best first."""
    return [
        Said(next(tag.names[each] for each in (*languages, *tag.names) if each in tag.names), tag.score)
        for tag in tags.tags
    ]


# Relevance is not measured apart from probability, so that a tag's topicality is its score.
WORDS = Words(
    {"tags": Field(said, Form.STRINGS), "labels": Field(said, Form.OBJECTS), "keywords": Field(said, Form.STRINGS)},
    key="name",
    scores=frozenset({"confidence", "score", "topicality"}),
    joint=", ",
    place=1,
)

CODEC = TaskCodec("tags", tags_pb2.TagsOptions, tags_pb2.TagsResult, read, write, WORDS)
