# SPDX-License-Identifier: Apache-2.0
"""What is put before and behind PP-OCR's graphs, on graphs small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from imagier_server.export.errors import ExportError
from imagier_server.export.ocr_graphs import answer_map, answer_tokens, answer_upside_down, read_charset, read_pixels
from imagier_server.export.onnx_runtime import onnxruntime
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(0)


def model(nodes, shape, answer, constants=()):
    graph = helper.make_graph(
        nodes,
        "source",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, answer)],
        list(constants),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)


def identity(*shape):
    return model([helper.make_node("Identity", ["x"], ["y"])], shape, shape)


def run(model, **inputs):
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def test_rgb_bytes_become_what_rapidocr_feeds():
    graph = identity("N", 3, "H", "W")
    read_pixels(graph, "H", "W")
    pixels = RNG.integers(0, 256, (2, 32, 64, 3), dtype=np.uint8)
    (planes,) = run(graph, pixels=pixels)
    blue_first = pixels[..., ::-1].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(planes, (blue_first / 255 - 0.5) / 0.5, atol=1e-6)


def test_the_map_keeps_the_detectors_threshold():
    graph = identity("N", 1, "H", "W")
    answer_map(graph)
    around = np.float32(0.3) + np.linspace(-1e-5, 1e-5, 512, dtype=np.float32)
    probabilities = np.concatenate([around, RNG.random(1536, dtype=np.float32)]).reshape(2, 1, 32, 32)
    (levels,) = run(graph, x=probabilities)
    assert levels.dtype == np.uint8
    assert levels.shape == (2, 32, 32)
    np.testing.assert_allclose(levels, probabilities[:, 0] * 255, atol=0.501)
    # A few parts in ten million about 0.3 itself are left to rounding.
    certain = np.abs(probabilities[:, 0] - 0.3) > 1e-6
    assert ((levels > 76) == (probabilities[:, 0] > 0.3))[certain].all()


def head(axis=2):
    weight = RNG.normal(size=(4, 9)).astype(np.float32)
    bias = RNG.normal(size=9).astype(np.float32)
    nodes = [
        helper.make_node("Relu", ["x"], ["features"]),
        helper.make_node("MatMul", ["features", "weight"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["sum"]),
        helper.make_node("Identity", ["sum"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"], axis=axis),
    ]
    constants = [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")]
    return model(nodes, ("N", "T", 4), ("N", "T", 9), constants)


def test_the_best_token_of_each_step_is_answered():
    features = RNG.normal(size=(3, 5, 4)).astype(np.float32)
    graph = head()
    (probabilities,) = run(graph, x=features)
    answer_tokens(graph)
    token_ids, confidences = run(graph, x=features)
    assert token_ids.dtype == np.int32
    np.testing.assert_array_equal(token_ids, probabilities.argmax(axis=2))
    np.testing.assert_allclose(confidences, probabilities.max(axis=2), rtol=1e-5)


def test_another_head_is_refused():
    graph = head()
    graph.graph.node.pop(1)
    with pytest.raises(ExportError, match="does not end in a dense layer"):
        answer_tokens(graph)


def test_the_second_class_is_upside_down():
    graph = identity("N", 2)
    answer_upside_down(graph)
    (answer,) = run(graph, x=np.array([[0.9, 0.1], [0.2, 0.8]], np.float32))
    np.testing.assert_allclose(answer, [[0.1], [0.8]], rtol=1e-6)


def test_the_charset_is_the_metadata_and_a_blank():
    graph = identity("N", 2)
    helper.set_model_props(graph, {"character": "a\n\u3000\n字"})
    assert read_charset(graph) == ("a", "\u3000", "字", " ")
