# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from google.rpc import status_pb2
from imagier.v1 import embedding_pb2
from imagier_client import Embedding, InvalidRequestError
from imagier_client.tasks.embedding import read, show, write


def test_the_encoding_is_asked_for_by_name() -> None:
    message = embedding_pb2.EmbeddingOptions()
    write(message, Embedding("bits"))
    assert message.encoding == embedding_pb2.VECTOR_ENCODING_BITS
    with pytest.raises(InvalidRequestError) as caught:
        write(message, Embedding("words"))
    assert caught.value.field == "embedding.encoding"


def test_people_see_the_model_and_not_the_numbers() -> None:
    message = embedding_pb2.EmbeddingResult(
        space=embedding_pb2.VectorSpace(name="made", dimension=2, distance="cosine"),
        vector=embedding_pb2.Vector(encoding=embedding_pb2.VECTOR_ENCODING_FLOAT32, values=(0.6, 0.8)),
    )
    found = read(message, ())
    assert found.vector is not None
    assert found.vector.space.name == "made"
    assert [line.cells for line in show(found, None).lines] == [("made, 2 numbers",)]


def test_a_failed_task_has_no_vector() -> None:
    found = read(embedding_pb2.EmbeddingResult(status=status_pb2.Status(code=12, message="no")), ())
    assert (found.ok, found.vector, show(found, None).lines) == (False, None, ())
