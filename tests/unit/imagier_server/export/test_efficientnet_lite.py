# SPDX-License-Identifier: Apache-2.0
"""The graph written from the weights computes what the PyTorch package computes, whatever the weights."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from imagier_server.export.efficientnet_lite import build_classifier
from imagier_server.export.onnx_runtime import onnxruntime


@pytest.fixture(scope="module")
def pixels():
    """Pictures of large coloured squares, which differ enough for an untrained network."""
    squares = np.random.default_rng(0).integers(0, 256, (3, 5, 5, 3))
    return squares.repeat(52, axis=1).repeat(52, axis=2).astype(np.uint8)


def normalised(pixels):
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127.5) / 127.5


@pytest.fixture(scope="module")
def network(pixels):
    """Random weights, and batch norms that keep the signal alive."""
    torch.manual_seed(0)
    network = EfficientNet.from_name("efficientnet-lite2")
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        torch.nn.init.normal_(norm.weight, 1, 0.3)
        torch.nn.init.normal_(norm.bias, 0, 0.3)
    with torch.inference_mode():
        network.train()(normalised(pixels))
    return network.eval()


@pytest.fixture(scope="module")
def graph(network):
    return build_classifier({name: tensor.numpy() for name, tensor in network.state_dict().items()})


def test_it_answers_as_pytorch_does(network, graph, pixels):
    with torch.inference_mode():
        expected = network(normalised(pixels)).softmax(-1).numpy()
    assert np.ptp(expected, axis=0).max() > 1e-4, "weights that tell no pictures apart would prove nothing"
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    (scores,) = session.run(["scores"], {"pixels": pixels})
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-7)


def test_batch_norm_and_padding_are_folded_into_the_convolutions(graph):
    onnx.checker.check_model(graph, full_check=True)
    assert {node.op_type for node in graph.graph.node} == {
        *("Transpose", "Cast", "Sub", "Div", "Conv", "Clip", "Add", "GlobalAveragePool", "Flatten", "Gemm", "Softmax")
    }


def test_a_missing_weight_is_an_error(network):
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items() if name != "_conv_head.weight"}
    with pytest.raises(KeyError, match="_conv_head"):
        build_classifier(weights)
