# SPDX-License-Identifier: Apache-2.0
"""The embedding task, and the embedding of texts, in protobuf."""

from __future__ import annotations

import numpy as np
from imagier.v1 import embedding_pb2

from imagier_server.messages import TaskOutcome
from imagier_server.tasks.embedding.values import (
    Embedding,
    EmbeddingOptions,
    EmbedTextRequest,
    Encoding,
    SpaceInfo,
    TextEmbeddings,
    TrainedLabel,
    TrainLabelRequest,
    Vector,
    Vectors,
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


def from_examples(message: embedding_pb2.TrainLabelRequest) -> TrainLabelRequest:
    """The examples of a label as a value."""
    space = SpaceInfo(message.space.name, message.space.dimension, message.space.distance)
    positives, negatives = (tuple(map(_numbers, first(kind))) for kind in (message.positives, message.negatives))
    return TrainLabelRequest(message.label, space, positives, negatives)


def to_taught(label: TrainedLabel, cost: int) -> embedding_pb2.TrainLabelResponse:
    """A taught label as a message."""
    return embedding_pb2.TrainLabelResponse(taught=label.taught, accuracy=label.accuracy, cost=cost)


def _numbers(message: embedding_pb2.Vector) -> Vectors | None:
    """A caller's vector; None if it cannot be read. Its length is that of what was sent."""
    match _ENCODINGS.get(message.encoding):
        case Encoding.FLOAT32:
            return np.array(message.values, np.float32)
        case Encoding.FLOAT16 if len(message.packed) % 2 == 0:
            return np.frombuffer(message.packed, "<f2").astype(np.float32)
        case Encoding.INT8:
            return np.frombuffer(message.packed, np.int8).astype(np.float32)
        case Encoding.BITS:
            return np.unpackbits(np.frombuffer(message.packed, np.uint8)).astype(np.float32) * 2 - 1
    return None


def _space(space: SpaceInfo) -> embedding_pb2.VectorSpace:
    return embedding_pb2.VectorSpace(name=space.name, dimension=space.dimension, distance=space.distance)


def _vector(vector: Vector) -> embedding_pb2.Vector:
    return embedding_pb2.Vector(
        encoding=_NUMBERS[vector.encoding], values=vector.values, packed=vector.packed, scale=vector.scale
    )


CODEC = TaskCodec("embedding", embedding_pb2.EmbeddingOptions, embedding_pb2.EmbeddingResult, read, write)
