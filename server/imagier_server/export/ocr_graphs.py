# SPDX-License-Identifier: Apache-2.0
"""Rewrites PP-OCR's published ONNX graphs: `uint8` RGB pixels in, small outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from imagier_server.export.errors import ExportError

Dimension = int | str


def read_pixels(model: onnx.ModelProto, height: Dimension, width: Dimension) -> None:
    """Replace the input, FP32 [N, 3, H, W] in BGR and -1..1, by `pixels`, UINT8 [N, H, W, 3] in RGB.

    The source was trained on BGR, as OpenCV reads pictures. Channels are swapped while they are still bytes.
    """
    graph = model.graph
    (source,) = graph.input
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([2, 1, 0], np.int64), "imagier.bgr"),
            numpy_helper.from_array(np.array(127.5, np.float32), "imagier.half_range"),
            numpy_helper.from_array(np.array(1, np.float32), "imagier.one"),
        ]
    )
    nodes = [
        helper.make_node("Transpose", ["pixels"], ["imagier.planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Gather", ["imagier.planes", "imagier.bgr"], ["imagier.turned"], axis=1),
        helper.make_node("Cast", ["imagier.turned"], ["imagier.float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["imagier.float", "imagier.half_range"], ["imagier.scaled"]),
        helper.make_node("Sub", ["imagier.scaled", "imagier.one"], [source.name]),
        *graph.node,
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.input[0].CopyFrom(helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", height, width, 3]))


def answer_map(model: onnx.ModelProto) -> None:
    """The detector's output, FP32 [N, 1, H, W] in 0..1, becomes `probability`, UINT8 [N, H, W] in 0..255.

    Rounded half to even, so that above 0.3, RapidOCR's threshold, is the same as above 76 (0.3 · 255 = 76.5).
    """
    graph = model.graph
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(1 / 255, np.float32), "imagier.level"),
            numpy_helper.from_array(np.array(0, np.uint8), "imagier.nothing"),
        ]
    )
    _answer(
        model,
        [
            helper.make_node("Squeeze", [graph.output[0].name], ["imagier.map"], axes=[1]),
            helper.make_node("QuantizeLinear", ["imagier.map", "imagier.level", "imagier.nothing"], ["probability"]),
        ],
        [helper.make_tensor_value_info("probability", TensorProto.UINT8, ["N", "H", "W"])],
    )


def answer_tokens(model: onnx.ModelProto) -> None:
    """The recogniser's output, FP32 [N, T, tokens] in 0..1, becomes the best: `token_ids` INT32 and `confidences` FP32, [N, T].

    The head, with 18 710 probabilities per step, moves into a Scan over the lines of a batch, so that they exist for one line at
    a time (24 MB for the widest). Raises `ExportError` if the graph does not end in that head.
    """
    graph = model.graph
    head = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node[-4:]]
    if [node.op_type for node in head] != ["MatMul", "Add", "Identity", "Softmax"]:
        raise ExportError("text_recognizer: the source does not end in a dense layer and a softmax")
    del graph.node[-4:]
    del graph.value_info[:]  # the ranks of the head outside the loop
    features, probabilities = head[0].input[0], head[-1].output[0]
    head[0].input[0] = "imagier.line"
    del head[-1].attribute[:]
    head[-1].attribute.append(helper.make_attribute("axis", -1))
    best = [
        helper.make_node("ArgMax", [probabilities], ["imagier.best"], axis=1, keepdims=0),
        helper.make_node("Cast", ["imagier.best"], ["imagier.token_ids"], to=TensorProto.INT32),
        helper.make_node("ReduceMax", [probabilities], ["imagier.confidences"], axes=[1], keepdims=0),
    ]
    read_line = helper.make_graph(
        [*head, *best],
        "read_line",
        [helper.make_tensor_value_info("imagier.line", TensorProto.FLOAT, ["T", None])],
        [
            helper.make_tensor_value_info("imagier.token_ids", TensorProto.INT32, ["T"]),
            helper.make_tensor_value_info("imagier.confidences", TensorProto.FLOAT, ["T"]),
        ],
    )
    _answer(
        model,
        [helper.make_node("Scan", [features], ["token_ids", "confidences"], body=read_line, num_scan_inputs=1)],
        [
            helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["N", "T"]),
            helper.make_tensor_value_info("confidences", TensorProto.FLOAT, ["N", "T"]),
        ],
    )


def answer_upside_down(model: onnx.ModelProto) -> None:
    """The orienter's output, FP32 [N, 2] for 0 and 180 degrees, becomes `upside_down`, FP32 [N, 1]: Triton has no shorter shape."""
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "imagier.half_turn"))
    _answer(
        model,
        [helper.make_node("Gather", [graph.output[0].name, "imagier.half_turn"], ["upside_down"], axis=1)],
        [helper.make_tensor_value_info("upside_down", TensorProto.FLOAT, ["N", 1])],
    )


def read_charset(model: onnx.ModelProto) -> tuple[str, ...]:
    """The characters of tokens 1, 2, …: those in the metadata, then a space. Token 0 is CTC's blank."""
    (characters,) = (entry.value for entry in model.metadata_props if entry.key == "character")
    return (*characters.splitlines(), " ")


def _answer(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], outputs: Sequence[onnx.ValueInfoProto]) -> None:
    model.graph.node.extend(nodes)
    del model.graph.output[:]
    model.graph.output.extend(outputs)
