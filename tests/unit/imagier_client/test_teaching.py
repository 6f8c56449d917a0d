# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from imagier.v1 import embedding_pb2
from imagier_client import DifferentSpaceError, InvalidRequestError, TrainedLabel, Vector, VectorSpace
from imagier_client.teaching import decode_label, encode_examples
from imagier_client.vectors import read_vector

SPACE = VectorSpace("made", 2)
ONE, OTHER = Vector(SPACE, (1.0, 0.0)), Vector(SPACE, (0.0, 1.0))


def test_examples_go_with_their_space() -> None:
    request = encode_examples("garden", [ONE], iter([OTHER, ONE]))
    assert (request.label, request.space.name, request.space.dimension) == ("garden", "made", 2)
    assert [list(vector.values) for vector in request.negatives] == [[0, 1], [1, 0]]
    assert decode_label(embedding_pb2.TrainLabelResponse(taught=b"x", accuracy=0.5, cost=2)) == TrainedLabel(
        b"x", 0.5, 2
    )


def test_examples_of_two_spaces_are_not_sent() -> None:
    with pytest.raises(DifferentSpaceError):
        encode_examples("garden", [ONE], [Vector(VectorSpace("other", 2), (1.0, 0.0))])


@pytest.mark.parametrize(
    ("dimension", "number", "encoding"),
    [(512, 400, "FLOAT32"), (512, 1000, "FLOAT16"), (768, 1000, "INT8"), (1152, 800, "INT8")],
)
def test_a_thousand_examples_fit_in_a_request(dimension: int, number: int, encoding: str) -> None:
    size = dimension**-0.5
    values = tuple(size if place % 3 else -size for place in range(dimension))
    vector = Vector(VectorSpace("made", dimension), values)
    request = encode_examples("x" * 200, [vector] * (number // 2), [vector] * (number // 2))
    assert len(request.SerializeToString()) <= 1 << 20
    for sent in (request.positives[0], request.negatives[-1]):
        assert embedding_pb2.VectorEncoding.Name(sent.encoding) == f"VECTOR_ENCODING_{encoding}"
        assert read_vector(sent, vector.space).values == pytest.approx(values, abs=1e-3)


def test_what_fits_in_no_encoding_is_refused_with_how_many_do() -> None:
    vector = Vector(VectorSpace("made", 1536), (1536**-0.5,) * 1536)
    with pytest.raises(InvalidRequestError, match="holds 670 vectors of 1536 numbers"):
        encode_examples("garden", [vector] * 500, [vector] * 500)
    assert encode_examples("garden", [vector] * 500, [vector] * 170)


@pytest.mark.parametrize("number", [1e9, float("nan")])
def test_what_has_no_form_is_refused_by_its_name(number: float) -> None:
    space = VectorSpace("made", 1152)
    good, wrong = Vector(space, (1152**-0.5,) * 1152), Vector(space, (number,) * 1152)
    with pytest.raises(InvalidRequestError) as caught:
        encode_examples("garden", [good] * 300, [good] * (100 if number > 1 else 400) + [wrong])
    assert caught.value.field == "negatives"


@pytest.mark.parametrize("wrong", [(1.0, 0.0), None, "vector"])
def test_what_is_no_vector_is_refused_by_its_name(wrong: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        encode_examples("garden", [ONE], [wrong])
    assert caught.value.field == "negatives"
