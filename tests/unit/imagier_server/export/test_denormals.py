# SPDX-License-Identifier: Apache-2.0
"""No graph keeps a weight that slows the processor down, wherever the weight stands; what guards a division stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from imagier_server.export import denormals
from onnx import TensorProto, helper, numpy_helper

REPOSITORY = Path(__file__).parents[4] / "model_repository"
WEIGHTS = np.array([1.5, -1e-39, 1e-30, 0, -2e-20], np.float32)


def weights(name: str, values: np.ndarray = WEIGHTS) -> TensorProto:
    return numpy_helper.from_array(values, name)


def value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [5])


@pytest.fixture
def model() -> onnx.ModelProto:
    """Weights in the graph, in a constant, and in both branches of an If."""
    constant = helper.make_node("Constant", [], ["constant"], value=weights("in a constant"))
    branches = [
        helper.make_graph([helper.make_node("Identity", [side], [f"{side} out"])], side, [], [value(f"{side} out")])
        for side in ("then", "else")
    ]
    for branch in branches:
        branch.initializer.append(weights(branch.name))
    choice = helper.make_node("If", ["whether"], ["chosen"], then_branch=branches[0], else_branch=branches[1])
    nodes = [constant, choice, helper.make_node("Sum", ["x", "constant", "chosen", "dense"], ["y"])]
    graph = helper.make_graph(
        nodes, "g", [value("x")], [value("y")], [weights("dense"), weights("whether", np.array(True))]
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    onnx.checker.check_model(made)
    return made


def test_weights_are_flushed_wherever_they_are(model: onnx.ModelProto) -> None:
    assert denormals.remaining(model) == denormals.flush(model) == 4 * 2
    assert denormals.remaining(model) == denormals.flush(model) == 0
    dense = numpy_helper.to_array(model.graph.initializer[0])
    assert dense.tolist() == np.array([1.5, 0, 0, 0, -2e-20], np.float32).tolist()
    onnx.checker.check_model(model)


def test_a_graph_without_any_keeps_its_bytes(model: onnx.ModelProto) -> None:
    denormals.flush(model)
    before = model.SerializeToString(deterministic=True)
    assert denormals.flush(model) == 0
    assert model.SerializeToString(deterministic=True) == before


def test_a_single_number_stays_for_it_may_guard_a_division(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(weights("least", np.array(1e-30, np.float32)))
    denormals.flush(model)
    assert numpy_helper.to_array(model.graph.initializer[-1]) == np.float32(1e-30)
    assert denormals.remaining(model) == 0


def test_numbers_of_other_types_are_no_weights_of_this_kind(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(weights("halves", np.array([6e-8, 1], np.float16)))
    model.graph.initializer.append(weights("integers", np.array([0, 1], np.int64)))
    denormals.flush(model)
    assert [numpy_helper.to_array(tensor)[0] for tensor in model.graph.initializer[-2:]] == [np.float16(6e-8), 0]


def test_what_cannot_be_flushed_is_seen(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["list"], value_floats=[1e-39, 1.0]))
    denormals.flush(model)
    assert denormals.remaining(model) == 1


@pytest.mark.parametrize("graph", sorted(REPOSITORY.glob("*/1/model.onnx")), ids=lambda path: path.parts[-3])
def test_no_installed_graph_has_any(graph: Path) -> None:
    assert denormals.remaining(onnx.load(graph)) == 0
