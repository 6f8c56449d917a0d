# SPDX-License-Identifier: Apache-2.0
"""Labels that are taught by examples: the client's values, and their conversion to protobuf and back."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from imagier.v1 import embedding_pb2

from imagier_client.errors import InvalidRequestError
from imagier_client.tasks.wire import fill
from imagier_client.vectors import Vector, expect_same_space

MOST_BYTES: Final = 1_040_000
"""Of all vectors: a little less than the mebibyte that a request may have."""
_AROUND: Final = 16
"""Bytes of a vector's message beside its numbers, at most."""


@dataclass(frozen=True, slots=True)
class TrainedLabel:
    """A label for `Tags(taught=…)`: keep `taught` as it is.

    `accuracy` on examples left out, 0 to 1, where 0.5 is chance; `cost` in credits.
    """

    taught: bytes = field(repr=False)
    accuracy: float
    cost: int = 0


def encode_examples(
    label: str, positives: Iterable[Vector], negatives: Iterable[Vector]
) -> embedding_pb2.TrainLabelRequest:
    """Makes the request, its vectors in the finest encoding in which all of them fit.

    Raises DifferentSpaceError for vectors of two models, InvalidRequestError for what is no vector, and for too many of them.
    """
    examples = {"positives": tuple(positives), "negatives": tuple(negatives)}
    request = embedding_pb2.TrainLabelRequest()
    fill(request, label=label)
    space = None
    for name, vectors in examples.items():
        for vector in vectors:
            if not isinstance(vector, Vector):
                raise InvalidRequestError("vectors are needed, as annotate and embed_text return them", field=name)
            space = space or vector.space
            expect_same_space(space, vector.space)
    if space:
        message = embedding_pb2.VectorSpace(name=space.name, dimension=space.dimension, distance=space.distance)
        request.space.CopyFrom(message)
        write = _writer(sum(map(len, examples.values())), space.dimension)
        for name, vectors in examples.items():
            try:
                getattr(request, name).extend(write(vector) for vector in vectors)
            except (OverflowError, ValueError) as error:  # infinite, say
                raise InvalidRequestError("vectors of unit length are needed", field=name) from error
    return request


def _writer(number: int, dimension: int) -> Callable[[Vector], embedding_pb2.Vector]:
    """What writes so many vectors as finely as a request has room for."""
    for size, write in ((4, _float32), (2, _float16), (1, _int8)):
        if number * (size * dimension + _AROUND) <= MOST_BYTES:
            return write
    most = MOST_BYTES // (dimension + _AROUND)
    raise InvalidRequestError(f"a request holds {most} vectors of {dimension} numbers at most", field="positives")


def _float32(vector: Vector) -> embedding_pb2.Vector:
    return embedding_pb2.Vector(encoding=embedding_pb2.VECTOR_ENCODING_FLOAT32, values=vector.values)


def _float16(vector: Vector) -> embedding_pb2.Vector:
    packed = struct.pack(f"<{len(vector.values)}e", *vector.values)
    return embedding_pb2.Vector(encoding=embedding_pb2.VECTOR_ENCODING_FLOAT16, packed=packed)


def _int8(vector: Vector) -> embedding_pb2.Vector:
    scale = max(map(abs, vector.values), default=0.0) / 127 or 1.0
    packed = array("b", (round(value / scale) for value in vector.values)).tobytes()
    return embedding_pb2.Vector(encoding=embedding_pb2.VECTOR_ENCODING_INT8, packed=packed, scale=scale)


def decode_label(reply: embedding_pb2.TrainLabelResponse) -> TrainedLabel:
    """The reply as a value."""
    return TrainedLabel(reply.taught, reply.accuracy, reply.cost)
