# SPDX-License-Identifier: Apache-2.0
"""The embedding task, and the embedding of texts, in protobuf."""

from __future__ import annotations

from imagier.v1 import embedding_pb2

from imagier_server.messages import TaskOutcome
from imagier_server.tasks.embedding.values import (
    Embedding,
    EmbeddingOptions,
    EmbedTextRequest,
    Encoding,
    SpaceInfo,
    TextEmbeddings,
    Vector,
)
from imagier_server.transport.codecs.codec import TaskCodec, first, models

_ENCODINGS = {
    embedding_pb2.VECTOR_ENCODING_UNSPECIFIED: Encoding.FLOAT32,
    embedding_pb2.VECTOR_ENCODING_FLOAT32: Encoding.FLOAT32,
    embedding_pb2.VECTOR_ENCODING_FLOAT16: Encoding.FLOAT16,
    embedding_pb2.VECTOR_ENCODING_INT8: Encoding.INT8,
    embedding_pb2.VECTOR_ENCODING_BITS: Encoding.BITS,
}
_NUMBERS = {encoding: number for number, encoding in _ENCODINGS.items() if number}


def read(message: embedding_pb2.EmbeddingOptions) -> EmbeddingOptions:
    """The options as a value."""
    return EmbeddingOptions(_ENCODINGS.get(message.encoding))


def write(result: embedding_pb2.EmbeddingResult, embedding: Embedding, size: tuple[int, int]) -> None:
    """Write the vector and its space into the message."""
    del size
    result.space.CopyFrom(_space(embedding.space))
    result.vector.CopyFrom(_vector(embedding.vector))


def from_texts(message: embedding_pb2.EmbedTextRequest) -> EmbedTextRequest:
    """The texts as a value."""
    return EmbedTextRequest(first(message.texts), first(message.languages), _ENCODINGS.get(message.encoding))


def to_texts(found: TextEmbeddings, outcome: TaskOutcome) -> embedding_pb2.EmbedTextResponse:
    """The vectors of texts as a message."""
    return embedding_pb2.EmbedTextResponse(
        space=_space(found.space),
        models=models(outcome),
        cost=outcome.cost,
        embeddings=(
            embedding_pb2.TextEmbedding(vector=_vector(each.vector), truncated=each.truncated)
            for each in found.embeddings
        ),
        unknown_languages=found.unknown_languages,
    )


def _space(space: SpaceInfo) -> embedding_pb2.VectorSpace:
    return embedding_pb2.VectorSpace(name=space.name, dimension=space.dimension, distance=space.distance)


def _vector(vector: Vector) -> embedding_pb2.Vector:
    return embedding_pb2.Vector(
        encoding=_NUMBERS[vector.encoding], values=vector.values, packed=vector.packed, scale=vector.scale
    )


CODEC = TaskCodec("embedding", embedding_pb2.EmbeddingOptions, embedding_pb2.EmbeddingResult, read, write)
