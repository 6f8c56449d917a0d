# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from imagier.v1 import embedding_pb2
from imagier_client import DifferentSpaceError, InvalidRequestError, TrainedLabel, Vector, VectorSpace
from imagier_client.teaching import decode_label, encode_examples

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


@pytest.mark.parametrize("wrong", [(1.0, 0.0), None, "vector"])
def test_what_is_no_vector_is_refused_by_its_name(wrong: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        encode_examples("garden", [ONE], [wrong])
    assert caught.value.field == "negatives"
