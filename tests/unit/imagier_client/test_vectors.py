# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
import struct

import pytest
from imagier.v1 import embedding_pb2
from imagier_client import DifferentSpaceError, InvalidRequestError, ServerFaultError, Vector, VectorSpace, ranked
from imagier_client.vectors import encoding_number, read_space, read_vector

SPACE = VectorSpace("made", 4)
HALF = (0.5, -0.5, 0.5, -0.5)


def test_similarity_is_the_cosine() -> None:
    one, other = Vector(SPACE, (1.0, 0.0, 0.0, 0.0)), Vector(SPACE, HALF)
    assert one.similarity(other) == pytest.approx(0.5)
    assert other.similarity(other) == pytest.approx(1)


@pytest.mark.parametrize("other", [VectorSpace("other", 4), VectorSpace("made", 5), VectorSpace("made", 4, "l2")])
def test_vectors_of_two_spaces_are_never_compared(other: VectorSpace) -> None:
    stranger = Vector(other, HALF)
    for compare in (
        lambda: Vector(SPACE, HALF).similarity(stranger),
        lambda: ranked(Vector(SPACE, HALF), {1: stranger}),
    ):
        with pytest.raises(DifferentSpaceError, match=f"of made .* with one of {other.name}") as caught:
            compare()
        assert not caught.value.retryable


def test_the_most_similar_comes_first() -> None:
    vectors = {"far": Vector(SPACE, tuple(-x for x in HALF)), "near": Vector(SPACE, HALF)}
    assert [key for key, _ in ranked(Vector(SPACE, HALF), vectors)] == ["near", "far"]


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("float32", embedding_pb2.Vector(encoding=embedding_pb2.VECTOR_ENCODING_FLOAT32, values=HALF)),
        (
            "float16",
            embedding_pb2.Vector(encoding=embedding_pb2.VECTOR_ENCODING_FLOAT16, packed=struct.pack("<4e", *HALF)),
        ),
        (
            "int8",
            embedding_pb2.Vector(
                encoding=embedding_pb2.VECTOR_ENCODING_INT8, packed=bytes([127, 129, 127, 129]), scale=0.5 / 127
            ),
        ),
        ("bits", embedding_pb2.Vector(encoding=embedding_pb2.VECTOR_ENCODING_BITS, packed=bytes([0b10100000]))),
    ],
)
def test_every_encoding_is_read_as_numbers_of_unit_length(encoding: str, message: embedding_pb2.Vector) -> None:
    found = read_vector(message, SPACE)
    assert (found.encoding, found.packed) == (encoding, message.packed)
    assert found.values == pytest.approx(HALF)
    assert math.fsum(x * x for x in found.values) == pytest.approx(1)
    assert encoding_number(encoding, "encoding") == message.encoding


@pytest.mark.parametrize(
    "message",
    [
        embedding_pb2.Vector(values=HALF),
        embedding_pb2.Vector(encoding=embedding_pb2.VECTOR_ENCODING_FLOAT32, values=HALF[:3]),
        embedding_pb2.Vector(encoding=embedding_pb2.VECTOR_ENCODING_FLOAT16, packed=b"1234567"),
        embedding_pb2.Vector(encoding=embedding_pb2.VECTOR_ENCODING_INT8, packed=bytes(4)),
    ],
)
def test_what_is_no_vector_of_its_space_is_a_fault_of_the_server(message: embedding_pb2.Vector) -> None:
    with pytest.raises(ServerFaultError):
        read_vector(message, SPACE)


def test_an_unknown_encoding_is_refused_before_it_is_sent() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        encoding_number("float64", "embedding.encoding")
    assert caught.value.field == "embedding.encoding"


def test_a_space_is_read_with_its_distance() -> None:
    assert read_space(embedding_pb2.VectorSpace(name="made", dimension=4, distance="cosine")) == SPACE
