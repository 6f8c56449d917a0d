# SPDX-License-Identifier: Apache-2.0
"""The exported graph answers what the search answers in PyTorch, whatever the batch, in one loop and the same bytes each time."""

from __future__ import annotations

import onnx
import pytest
import torch
from imagier_server.export.caption_graph import build_captioner
from imagier_server.export.caption_search import CaptionSearch, SearchOptions
from imagier_server.export.onnx_runtime import onnxruntime


def options(beams):
    return SearchOptions(end=3, pad=0, max_tokens=9, beams=beams, candidates=beams, length_penalty=0.8, min_tokens=2)


@pytest.fixture(scope="module", params=[1, 3])
def beams(request):
    return request.param


@pytest.fixture(scope="module")
def graph(rememberer, beams):
    return build_captioner(rememberer(2.0), 4, options(beams))


@pytest.mark.parametrize("batch", [1, 4])
def test_the_graph_answers_what_pytorch_answers(rememberer, six_pictures, beams, graph, batch):
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    pixels = six_pictures[:batch]
    ids, log_probabilities = session.run(["token_ids", "log_probabilities"], {"pixels": pixels.numpy()})
    with torch.inference_mode():
        expected, its_log_probabilities = CaptionSearch(rememberer(2.0), options(beams))(pixels)
    assert ids.tolist() == expected.tolist()
    torch.testing.assert_close(torch.from_numpy(log_probabilities), its_log_probabilities)


def test_it_is_one_loop_that_triton_can_read(graph):
    onnx.checker.check_model(graph, full_check=True)
    assert [node.op_type for node in graph.graph.node].count("Loop") == 1
    assert (graph.opset_import[0].version, len(graph.opset_import)) == (20, 1)
    assert graph.ir_version <= 10


def test_the_same_weights_make_the_same_bytes_without_paths_of_this_machine(rememberer, beams, graph):
    again = build_captioner(rememberer(2.0), 4, options(beams))
    content = graph.SerializeToString(deterministic=True)
    assert content == again.SerializeToString(deterministic=True)
    assert b".py" not in content
