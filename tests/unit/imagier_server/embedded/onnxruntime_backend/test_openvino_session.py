# SPDX-License-Identifier: Apache-2.0
"""A graph on OpenVINO, in one process: what a config asks for, and answers like ONNX Runtime's."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

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


class Meeting:
    """A compiled graph whose runs wait a moment for another."""

    def __init__(self) -> None:
        self.together = threading.Barrier(2)
        self.met = False
        self.patience = 0.2

    def create_infer_request(self) -> Self:
        return self

    def infer(self, feeds: dict[str, Any], *, share_inputs: bool) -> dict[str, Any]:
        with suppress(threading.BrokenBarrierError):
            self.together.wait(self.patience)
            self.met = True
        return feeds


def test_the_first_runs_of_threads_come_one_after_the_other(graph: Path) -> None:
    """At once, the first two runs of a process may wait for each other for ever."""
    # Of one graph or of two: a process has one table.
    sessions, meeting = [OpenVinoSession(graph, streams=2) for _ in range(2)], Meeting()
    for session in sessions:
        session._compiled = meeting
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(session.run, ["x"], {"x": np.zeros(1)}) for session in sessions]
        assert [run.result()[0].tolist() for run in runs] == [[0.0]] * 2
        assert not meeting.met
        meeting.together.reset()
        meeting.patience = 60.0
        both = [threads.submit(sessions[0].run, ["x"], {"x": np.zeros(1)}) for _ in range(2)]
        assert len([run.result() for run in both]) == 2
    assert meeting.met, "later runs do not wait for each other"


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
