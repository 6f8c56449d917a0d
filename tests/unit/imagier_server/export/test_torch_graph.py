# SPDX-License-Identifier: Apache-2.0
"""An exported network answers as in PyTorch, is the same bytes each time, and says nothing of the machine that made it."""

from __future__ import annotations

import numpy as np
import torch
from imagier_server.export.comparison import run, session
from imagier_server.export.torch_graph import tidied, traced
from torch import nn


class Twice(nn.Module):
    """A layer whose weights are used as they are and turned round."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.weights = nn.Parameter(torch.randn(6, 6))

    def forward(self, x):
        return torch.tanh(x @ self.weights) @ self.weights.T


def test_a_network_is_exported_with_its_batch_and_its_free_sides():
    network = Twice().eval()
    made = [tidied(traced(network, "x", torch.zeros((2, 5, 6)), ["y"], {1: torch.export.Dim("T")})) for _ in range(2)]
    content = [graph.SerializeToString(deterministic=True) for graph in made]
    assert content[0] == content[1]
    assert b"/" not in b"".join(prop.value.encode() for node in made[0].graph.node for prop in node.metadata_props)
    assert not made[0].metadata_props
    runtime = session(content[0])
    for shape in ((1, 5, 6), (3, 2, 6)):
        x = torch.randn(shape)
        with torch.inference_mode():
            np.testing.assert_allclose(run(runtime, {"x": x.numpy()})["y"], network(x).numpy(), atol=1e-5)
