# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from imagier.v1 import embedding_pb2
from imagier_server.tasks.embedding.encoding import encoded
from imagier_server.tasks.embedding.values import Embedding, Encoding, SpaceInfo
from imagier_server.transport.codecs.embedding import from_examples, from_texts, read, write

VECTOR = np.array([[0.5, -0.5, 0.5, -0.5, 0, 0, 0, 0]], np.float32)
SPACE = SpaceInfo("made", 8)


@pytest.mark.parametrize("encoding", Encoding)
def test_a_vector_that_was_sent_teaches_as_it_was(encoding: Encoding) -> None:
    result = embedding_pb2.EmbeddingResult()
    write(result, Embedding(SPACE, encoded(VECTOR, encoding)[0]), (1, 1))
    assert (result.space.name, result.space.dimension, result.space.distance) == ("made", 8, "cosine")
    request = embedding_pb2.TrainLabelRequest(space=result.space, positives=[result.vector])
    (back,) = from_examples(request).positives
    assert back is not None
    # Of bits only the signs are left, and of zeros nothing.
    known = slice(0, 4) if encoding is Encoding.BITS else slice(None)
    ours, theirs = VECTOR[0, known], back[known] / np.linalg.norm(back[known])
    assert float(ours @ theirs) == pytest.approx(1, abs=1e-3)


def test_an_encoding_of_the_future_is_none() -> None:
    assert read(embedding_pb2.EmbeddingOptions(encoding=9)).encoding is None
    assert from_texts(embedding_pb2.EmbedTextRequest(encoding=9)).encoding is None
    assert read(embedding_pb2.EmbeddingOptions()).encoding is Encoding.FLOAT32
