# SPDX-License-Identifier: Apache-2.0
"""A graph that reads pictures otherwise than its source is found out."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from imagier_server.export.catalogue import CATALOGUE
from imagier_server.export.convert import Converted, convert
from imagier_server.export.errors import ExportError
from imagier_server.export.fetch import fetch
from imagier_server.export.verify import verify
from onnx import numpy_helper

REPOSITORY = Path(__file__).parents[4] / "model_repository"


@cache
def converted(role):
    return convert(CATALOGUE[role], fetch(CATALOGUE[role].source, REPOSITORY), REPOSITORY)


def with_constant(role, name, value):
    """The converted graph with another value of one of its constants."""
    model = onnx.load_from_string(converted(role).graph)
    (constant,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    constant.CopyFrom(numpy_helper.from_array(np.asarray(value), name))
    return Converted(model.SerializeToString())


def check(role, graph):
    return verify(CATALOGUE[role], fetch(CATALOGUE[role].source, REPOSITORY), graph)


@pytest.mark.parametrize(
    ("role", "closeness"),
    [
        ("tagger", "the same five best"),
        ("text_detector", "of 255 levels"),
        ("text_line_orienter", "probabilities within"),
        ("text_recognizer", "the source's tokens"),
        ("text_embedder", "in seven scripts: cosine 1.0000"),
    ],
)
def test_a_faithful_graph_passes(role, closeness):
    assert closeness in check(role, converted(role))


@pytest.mark.parametrize(
    ("role", "constant", "value"),
    [
        ("tagger", "half_range", np.float32(128.5)),
        ("text_detector", "imagier.bgr", np.array([0, 1, 2])),
        ("text_detector", "imagier.level", np.float32(1 / 250)),
        ("text_line_orienter", "imagier.half_turn", np.array([0])),
        ("text_recognizer", "imagier.bgr", np.array([2, 1, 1])),
        ("text_recognizer", "imagier.half_range", np.float32(255)),
    ],
)
def test_a_graph_that_differs_is_refused(role, constant, value):
    with pytest.raises(ExportError, match=role):
        check(role, with_constant(role, constant, value))


def test_an_answer_that_is_no_number_is_refused():
    with pytest.raises(ExportError, match="differs from its source by nan"):
        check("tagger", with_constant("tagger", "half_range", np.float32(np.nan)))
