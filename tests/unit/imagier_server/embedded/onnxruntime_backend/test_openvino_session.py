# SPDX-License-Identifier: Apache-2.0
"""A graph on OpenVINO, in one process: what a config asks for, and answers like ONNX Runtime's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imagier_server.embedded.onnxruntime_backend.openvino_session import OpenVinoSession, accelerated
from support.tiny_models import add_one, install


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    install(tmp_path, "add_one", add_one())
    return tmp_path / "add_one" / "1" / "model.onnx"


def naming(*accelerators: dict[str, Any]) -> dict[str, Any]:
    """A config with these accelerators, as Triton hands it to its Python backend."""
    return {"optimization": {"execution_accelerators": {"cpu_execution_accelerator": [*accelerators]}}}


def test_batches_of_any_size_run_on_one_compiled_graph(graph: Path) -> None:
    session = accelerated(graph, naming({"name": "openvino"}) | {"parameters": {}})
    assert session is not None
    one, two = (np.full((rows, 4), rows, np.uint8) for rows in (1, 2))
    for array in (one, two):
        array.setflags(write=False)  # as DLPack's are
    [first] = session.run(["OUTPUT"], {"INPUT": one})
    [second] = session.run(["OUTPUT"], {"INPUT": two})
    assert first.tolist() == [[2] * 4]  # and the second run has not written over it
    assert second.tolist() == [[3] * 4] * 2


@pytest.mark.parametrize("config", [{}, {"optimization": {"graph": {"level": 1}}}, naming()])
def test_a_config_without_an_accelerator_leaves_it_to_onnx_runtime(graph: Path, config: dict[str, Any]) -> None:
    assert accelerated(graph, config) is None


def test_an_accelerator_that_is_not_known_is_refused_in_the_native_backends_words(graph: Path) -> None:
    with pytest.raises(ValueError, match="unknown Execution Accelerator 'tensorrt' is requested"):
        accelerated(graph, naming({"name": "openvino"}, {"name": "tensorrt"}))


def test_a_precision_that_is_not_known_is_refused(graph: Path) -> None:
    with pytest.raises(ValueError, match="FP32 or BF16 or FP16, not INT4"):
        accelerated(graph, naming({"name": "openvino", "parameters": {"precision": "INT4"}}))
    assert OpenVinoSession(graph, threads=1, precision="BF16").run(["OUTPUT"], {"INPUT": np.zeros((1, 4), np.uint8)})
