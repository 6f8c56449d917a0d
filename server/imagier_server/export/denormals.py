# SPDX-License-Identifier: Apache-2.0
"""Flushes denormal weights: arithmetic with a number below 1.2e-38 costs a processor a hundred times as much, and says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper

LEAST = 1e-20
"""Magnitudes below are flushed: well above the denormals of FP32, since such a weight times a small activation is one again."""

Values = npt.NDArray[Any]

_WIDE = frozenset({TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.BFLOAT16})
"""The types with an exponent that reaches so far; the least of FP16 is 6e-8."""


def flush(model: onnx.ModelProto) -> int:
    """Set weights of a magnitude below `LEAST` to 0, in subgraphs too; return their number. A graph without any is unchanged."""
    return sum(_flush(tensor) for tensor in _tensors(model.graph))


def remaining(model: onnx.ModelProto) -> int:
    """The number of weights below `LEAST`, also where `flush` does not reach: in lists of floats and in functions."""
    lists = (
        attribute.floats
        for node in (*_nodes(model.graph), *(node for function in model.functions for node in function.node))
        for attribute in node.attribute
    )
    weights = (numpy_helper.to_array(tensor) for tensor in _tensors(model.graph))
    return sum(int(_tiny(np.asarray(values)).sum()) for values in (*weights, *lists))


def _flush(tensor: TensorProto) -> int:
    weights = numpy_helper.to_array(tensor)
    tiny = _tiny(weights)
    if found := int(tiny.sum()):
        tensor.CopyFrom(numpy_helper.from_array(np.where(tiny, weights.dtype.type(0), weights), tensor.name))
    return found


def _tiny(values: Values) -> npt.NDArray[np.bool_]:
    magnitudes = np.abs(values)
    # A single number is no weight: it may guard a division or a logarithm against 0.
    return (magnitudes < LEAST) & (magnitudes > 0) & (values.size > 1)


def _tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    for each in _graphs(graph):
        yield from (tensor for tensor in each.initializer if tensor.data_type in _WIDE)
        yield from (sparse.values for sparse in each.sparse_initializer if sparse.values.data_type in _WIDE)
    for node in _nodes(graph):
        for attribute in node.attribute:
            yield from (t for t in (attribute.t, *attribute.tensors) if t.data_type in _WIDE)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for each in _graphs(graph):
        yield from each.node


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and those inside its nodes: branches and loop bodies."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _graphs(inner)
