# SPDX-License-Identifier: Apache-2.0
"""A graph whose weights do not fit into one file answers as before, with its weights in a second one beside it."""

from __future__ import annotations

import numpy as np
import onnx
from imagier_server.export import large_graphs
from imagier_server.export.large_graphs import check, detached, session
from onnx import TensorProto, helper, numpy_helper


def multiplied() -> onnx.ModelProto:
    """x FP32 [N, 40] → x · weights + bias."""
    random = np.random.default_rng(1)
    weights = [
        numpy_helper.from_array(random.standard_normal((40, 50), np.float32), "weights"),
        numpy_helper.from_array(random.standard_normal(50, np.float32), "bias"),
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 40])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 50])]
    graph = helper.make_graph(nodes, "multiplied", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_a_graph_of_usual_size_stays_in_one_file():
    model = multiplied()
    before = model.SerializeToString()
    assert detached(model) == b""
    assert model.SerializeToString() == before


def test_the_weights_of_a_large_graph_lie_beside_it_and_it_answers_as_before(monkeypatch):
    monkeypatch.setattr(large_graphs, "LARGEST", 1000)
    x = np.random.default_rng(2).standard_normal((3, 40), np.float32)
    model = multiplied()
    expected = session(model.SerializeToString(), b"").run(None, {"x": x})[0]
    weights = detached(model)
    assert len(weights) == 40 * 50 * 4, "the bias is small, and stays"
    assert len(model.SerializeToString()) < 1000
    check(model, weights)
    found = session(model.SerializeToString(), weights).run(None, {"x": x})[0]
    np.testing.assert_array_equal(found, expected)
