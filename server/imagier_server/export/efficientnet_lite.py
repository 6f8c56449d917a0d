# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-Lite written as an ONNX graph straight from its weights, batch norm folded into the convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Weights = Mapping[str, npt.NDArray[np.float32]]

BATCH_NORM_EPSILON = 1e-3
SIDE = 260
CLASSES = 1000
# Blocks of Lite2, after its width and depth multipliers.
_HALVING = frozenset({1, 4, 7, 15})


def build_classifier(weights: Weights) -> onnx.ModelProto:
    """EfficientNet-Lite2: `pixels` UINT8 [N, 260, 260, 3] RGB → `scores` FP32 [N, 1000], softmax applied.

    Architecture: Tan and Le, "EfficientNet" (2019, arXiv:1905.11946), as changed for Lite in tensorflow/tpu: no squeeze and
    excitation, ReLU6, stem and head not scaled. `weights` are named as in the PyPI package efficientnet-lite-pytorch.
    Pixels are normalised to -1..1, as in training. Raises `KeyError` if a weight is missing.
    """
    graph = _Graph(weights)
    x = graph.add("Transpose", ["pixels"], perm=[0, 3, 1, 2])
    x = graph.add("Cast", [x], to=TensorProto.FLOAT)
    x = graph.add("Sub", [x, graph.constant("middle", np.float32(127.5))])
    x = graph.add("Div", [x, graph.constant("half_range", np.float32(127.5))])
    x = graph.convolve(x, "_conv_stem", "_bn0", stride=2)
    block = 0
    while f"_blocks.{block}._project_conv.weight" in weights:
        x = _inverted_bottleneck(graph, x, f"_blocks.{block}.", stride=2 if block in _HALVING else 1)
        block += 1
    x = graph.convolve(x, "_conv_head", "_bn1")
    x = graph.add("Flatten", [graph.add("GlobalAveragePool", [x])])
    dense = [graph.constant(name, weights[name]) for name in ("_fc.weight", "_fc.bias")]
    x = graph.add("Gemm", [x, *dense], transB=1)
    graph.add("Softmax", [x], output="scores", axis=-1)
    return graph.model()


def _inverted_bottleneck(graph: _Graph, x: str, name: str, stride: int) -> str:
    inner = x
    channels = graph.weights[name + "_depthwise_conv.weight"].shape[0]
    if name + "_expand_conv.weight" in graph.weights:
        channels = graph.weights[name + "_expand_conv.weight"].shape[1]
        inner = graph.convolve(inner, name + "_expand_conv", name + "_bn0")
    inner = graph.convolve(inner, name + "_depthwise_conv", name + "_bn1", stride=stride)
    inner = graph.convolve(inner, name + "_project_conv", name + "_bn2", relu6=False)
    if stride == 1 and graph.weights[name + "_project_conv.weight"].shape[0] == channels:
        return graph.add("Add", [inner, x])
    return inner


class _Graph:
    """The graph under construction: nodes, constants, and the side of the current feature map."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.side = SIDE

    def add(self, operator: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def constant(self, name: str, value: npt.ArrayLike) -> str:
        self.constants[name] = numpy_helper.from_array(np.asarray(value, np.float32), name)
        return name

    def convolve(self, x: str, convolution: str, norm: str, stride: int = 1, *, relu6: bool = True) -> str:
        """A convolution with TensorFlow's padding "same", then batch norm (folded in), then ReLU6."""
        weight = self.weights[convolution + ".weight"].astype(np.float64)
        gain = self.weights[norm + ".weight"] / np.sqrt(
            self.weights[norm + ".running_var"] + np.float64(BATCH_NORM_EPSILON)
        )
        bias = self.weights[norm + ".bias"] - self.weights[norm + ".running_mean"] * gain
        depthwise, kernel = weight.shape[1] == 1, weight.shape[2]
        side = -(-self.side // stride)
        padding = max((side - 1) * stride + kernel - self.side, 0)
        self.side = side
        before, after = padding // 2, padding - padding // 2
        folded = self.constant(convolution + ".weight", weight * gain[:, np.newaxis, np.newaxis, np.newaxis])
        output = self.add(
            "Conv",
            [x, folded, self.constant(convolution + ".bias", bias)],
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=len(weight) if depthwise else 1,
        )
        if relu6:
            limits = [self.constant("zero", 0), self.constant("six", 6)]
            output = self.add("Clip", [output, *limits])
        return output

    def model(self) -> onnx.ModelProto:
        pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
        scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", CLASSES])
        graph = helper.make_graph(self.nodes, "tagger", [pixels], [scores], list(self.constants.values()))
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
