# SPDX-License-Identifier: Apache-2.0
"""Vectors of pictures and texts, as values that know their space: those of two models are never compared."""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from imagier.v1 import embedding_pb2

from imagier_client.errors import DifferentSpaceError, InvalidRequestError, ServerFaultError

K = TypeVar("K")

ENCODINGS: Final = {
    "float32": embedding_pb2.VECTOR_ENCODING_FLOAT32,
    "float16": embedding_pb2.VECTOR_ENCODING_FLOAT16,
    "int8": embedding_pb2.VECTOR_ENCODING_INT8,
    "bits": embedding_pb2.VECTOR_ENCODING_BITS,
}
"""The ways in which vectors can be written, by name."""


@dataclass(frozen=True, slots=True)
class VectorSpace:
    """Where vectors belong, by the model's name; they have `dimension` numbers, and are compared by their `distance`."""

    name: str
    dimension: int
    distance: str = "cosine"


@dataclass(frozen=True, slots=True)
class Vector:
    """A vector of unit length. `packed` are its bytes as they were sent, where `encoding` is not "float32".

    `values` are its numbers, whatever the encoding; those of "bits" are all of one size.
    """

    space: VectorSpace
    values: tuple[float, ...] = field(repr=False)
    encoding: str = "float32"
    packed: bytes = field(default=b"", repr=False)

    def similarity(self, other: Vector) -> float:
        """The cosine of the angle between two vectors, -1 to 1. Raises DifferentSpaceError if they are of two models."""
        expect_same_space(self.space, other.space)
        return math.sumprod(self.values, other.values) if hasattr(math, "sumprod") else _dot(self.values, other.values)


def ranked(query: Vector, vectors: Mapping[K, Vector]) -> list[tuple[K, float]]:
    """The keys of `vectors` with their similarity to `query`, the most similar first. Raises DifferentSpaceError."""
    for vector in vectors.values():
        expect_same_space(query.space, vector.space)
    found = [(key, query.similarity(vector)) for key, vector in vectors.items()]
    return sorted(found, key=lambda pair: -pair[1])


def expect_same_space(one: VectorSpace, other: VectorSpace) -> None:
    """Raises DifferentSpaceError unless the two are the same."""
    if one != other:
        raise DifferentSpaceError(
            f"a vector of {one.name} ({one.dimension}) cannot be compared with one of {other.name} ({other.dimension})"
        )


def encoding_number(name: str, field: str) -> embedding_pb2.VectorEncoding.ValueType:
    """The contract's number of an encoding. Raises InvalidRequestError."""
    if name not in ENCODINGS:
        raise InvalidRequestError(f"choose from {', '.join(ENCODINGS)}", field=field)
    return ENCODINGS[name]


def read_space(message: embedding_pb2.VectorSpace) -> VectorSpace:
    """The message as a value."""
    return VectorSpace(message.name, message.dimension, message.distance)


def read_vector(message: embedding_pb2.Vector, space: VectorSpace) -> Vector:
    """The message as a value. Raises ServerFaultError if it is not of its space's dimension, or in an encoding of the future."""
    names = {number: name for name, number in ENCODINGS.items()}
    name = names.get(message.encoding, "")
    values = _values(message, name, space.dimension)
    if len(values) != space.dimension:
        raise ServerFaultError("the server's vector cannot be read")
    return Vector(space, values, name, message.packed)


def _values(message: embedding_pb2.Vector, encoding: str, dimension: int) -> tuple[float, ...]:
    match encoding:
        case "float32":
            return tuple(message.values)
        case "float16" if len(message.packed) == 2 * dimension:
            return struct.unpack(f"<{dimension}e", message.packed)
        case "int8":
            return _unit(array("b", message.packed))  # rounded, they are no longer quite of unit length
        case "bits" if dimension:
            bits = "".join(f"{byte:08b}" for byte in message.packed)[:dimension]
            size = 1 / math.sqrt(dimension)
            return tuple(size if bit == "1" else -size for bit in bits)
    return ()


def _unit(numbers: array[int]) -> tuple[float, ...]:
    length = math.hypot(*numbers)
    return tuple(number / length for number in numbers) if length else ()


def _dot(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
