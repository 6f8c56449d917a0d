# SPDX-License-Identifier: Apache-2.0
"""Labels that are taught by examples: the client's values, and their conversion to protobuf and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from imagier.v1 import embedding_pb2

from imagier_client.errors import InvalidRequestError
from imagier_client.tasks.wire import fill
from imagier_client.vectors import Vector, expect_same_space


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
    """Makes the request. Raises DifferentSpaceError for vectors of two models, InvalidRequestError for what is no vector."""
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
            getattr(request, name).add(encoding=embedding_pb2.VECTOR_ENCODING_FLOAT32, values=vector.values)
    if space:
        message = embedding_pb2.VectorSpace(name=space.name, dimension=space.dimension, distance=space.distance)
        request.space.CopyFrom(message)
    return request


def decode_label(reply: embedding_pb2.TrainLabelResponse) -> TrainedLabel:
    """The reply as a value."""
    return TrainedLabel(reply.taught, reply.accuracy, reply.cost)
