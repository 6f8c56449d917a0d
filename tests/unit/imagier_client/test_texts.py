# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from imagier.v1 import embedding_pb2, model_pb2
from imagier_client import DifferentSpaceError, InvalidRequestError
from imagier_client.texts import decode_texts, encode_texts


def reply(name: str = "made", truncated: bool = False) -> embedding_pb2.EmbedTextResponse:
    vector = embedding_pb2.Vector(encoding=embedding_pb2.VECTOR_ENCODING_FLOAT32, values=(0.6, 0.8))
    return embedding_pb2.EmbedTextResponse(
        space=embedding_pb2.VectorSpace(name=name, dimension=2, distance="cosine"),
        models=[model_pb2.ModelReference(name="text_embedder", version="made 1")],
        cost=1,
        embeddings=[embedding_pb2.TextEmbedding(vector=vector, truncated=truncated)],
        unknown_languages=["tlh"],
    )


def test_many_texts_are_several_calls_in_order() -> None:
    requests = encode_texts([str(number) for number in range(600)], ["en"], "int8")
    assert [len(request.texts) for request in requests] == [256, 256, 88]
    assert [text for request in requests for text in request.texts] == [str(number) for number in range(600)]
    assert {request.encoding for request in requests} == {embedding_pb2.VECTOR_ENCODING_INT8}


def test_long_texts_are_several_calls_too() -> None:
    requests = encode_texts(["猫" * 4000] * 200, (), "float32")
    assert sum(len(request.texts) for request in requests) == 200
    assert max(request.ByteSize() for request in requests) < 2**20


def test_replies_are_joined_and_say_what_was_cut() -> None:
    found = decode_texts([reply(), reply(truncated=True)])
    assert [vector.values for vector in found.vectors] == [pytest.approx((0.6, 0.8))] * 2
    assert (found.truncated, found.unknown_languages, found.cost) == ((1,), ("tlh",), 2)
    assert [model.name for model in found.models] == ["text_embedder"]


def test_a_server_that_changes_its_model_between_two_calls_is_noticed() -> None:
    with pytest.raises(DifferentSpaceError):
        decode_texts([reply(), reply("other")])


@pytest.mark.parametrize(
    ("texts", "encoding", "field"),
    [([], "float32", "texts"), ("cat", "float32", "texts"), (["cat"], "8", "encoding"), ([1], "bits", "texts")],
)
def test_what_cannot_be_sent_is_refused_by_its_name(texts: list[str], encoding: str, field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        encode_texts(texts, (), encoding)
    assert caught.value.field == field
