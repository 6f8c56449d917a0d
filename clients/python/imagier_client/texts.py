# SPDX-License-Identifier: Apache-2.0
"""Texts as vectors: the client's values, and their conversion to protobuf and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from imagier.v1 import embedding_pb2

from imagier_client.arguments import strings
from imagier_client.errors import InvalidRequestError
from imagier_client.tasks.task import ModelReference
from imagier_client.tasks.wire import fill
from imagier_client.vectors import Vector, encoding_number, expect_same_space, read_space, read_vector

MOST_IN_A_CALL: Final = 256
"""The contract's limit for one call; more are sent in several calls."""
MOST_CHARACTERS_IN_A_CALL: Final = 200_000
"""Less than the megabyte that a request may have, in any script."""


@dataclass(frozen=True, slots=True)
class TextVectors:
    """The vectors of texts, in their order; `truncated` are the places of those whose end was left out.

    `unknown_languages` are those of the call that the model was not made for. `cost` in credits.
    """

    vectors: tuple[Vector, ...]
    truncated: tuple[int, ...] = ()
    unknown_languages: tuple[str, ...] = ()
    models: tuple[ModelReference, ...] = ()
    cost: int = 0


def encode_texts(texts: Iterable[str], languages: Sequence[str], encoding: str) -> list[embedding_pb2.EmbedTextRequest]:
    """Makes the requests, one for each call that is needed. Raises InvalidRequestError."""
    listed, languages = strings(texts, "texts"), strings(languages, "languages")
    if not listed:
        raise InvalidRequestError("at least one text is needed", field="texts")
    number = encoding_number(encoding, "encoding")
    return [_request(some, languages, number) for some in _parts(listed)]


def decode_texts(replies: Sequence[embedding_pb2.EmbedTextResponse]) -> TextVectors:
    """Joins the replies of all calls. Raises DifferentSpaceError if the server has changed its model between two of them."""
    spaces = [read_space(reply.space) for reply in replies]
    for space in spaces:
        expect_same_space(spaces[0], space)
    found = [(each, space) for reply, space in zip(replies, spaces, strict=True) for each in reply.embeddings]
    models = (ModelReference(model.name, model.version, model.research_only) for model in replies[0].models)
    return TextVectors(
        tuple(read_vector(each.vector, space) for each, space in found),
        tuple(place for place, (each, _) in enumerate(found) if each.truncated),
        tuple(dict.fromkeys(language for reply in replies for language in reply.unknown_languages)),
        tuple(models),
        sum(reply.cost for reply in replies),
    )


def _parts(texts: Sequence[str]) -> Iterable[Sequence[str]]:
    begin = characters = 0
    for place, text in enumerate(texts):
        size = len(text) if isinstance(text, str) else 0
        if place - begin == MOST_IN_A_CALL or (place > begin and characters + size > MOST_CHARACTERS_IN_A_CALL):
            yield texts[begin:place]
            begin, characters = place, 0
        characters += size
    yield texts[begin:]


def _request(
    texts: Sequence[str], languages: Sequence[str], encoding: embedding_pb2.VectorEncoding.ValueType
) -> embedding_pb2.EmbedTextRequest:
    request = embedding_pb2.EmbedTextRequest(encoding=encoding)
    fill(request, texts=texts, languages=languages)
    return request
