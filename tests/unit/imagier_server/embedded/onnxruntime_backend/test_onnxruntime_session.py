# SPDX-License-Identifier: Apache-2.0
"""A graph in ONNX Runtime, in one process: its answers, and the memory that it gives back."""

from __future__ import annotations

import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort  # noqa: TID251
import psutil
import pytest
from imagier_server.embedded.onnxruntime_backend.onnxruntime_session import CPU, OnnxRuntimeSession, providers
from support.tiny_models import add_one, install

ONE = {"INPUT": np.zeros((1, 4), np.uint8)}
MANY = {"INPUT": np.full((4 << 20, 4), 7, np.uint8)}  # 64 MiB each time that the graph widens them


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    install(tmp_path, "add_one", add_one())
    return tmp_path / "add_one" / "1" / "model.onnx"


def resident_mib() -> float:
    return psutil.Process().memory_info().rss / 2**20


def given_back(graph: Path) -> float:
    """MiB that a process gives back after a large run."""
    session = OnnxRuntimeSession(graph, {}, [CPU])
    session.run(["OUTPUT"], ONE)  # the arena never gives back its first block
    (answer,) = session.run(["OUTPUT"], MANY)
    assert answer.shape == (4 << 20, 4)
    assert (answer == 8).all()
    del answer
    before = resident_mib()
    session.give_back(ONE)
    after = resident_mib()
    assert session.run(["OUTPUT"], ONE)[0].tolist() == [[1, 1, 1, 1]]
    return before - after


def test_what_the_arena_holds_is_given_back(graph: Path) -> None:
    # In a process of its own: what other tests have loaded and allocated decides where memory comes from.
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        assert process.submit(given_back, graph).result() > 60


@pytest.mark.parametrize("config", [{}, {"parameters": {"enable_mem_arena": {"string_value": "0"}}}])
def test_without_a_warm_up_or_an_arena_there_is_nothing_to_do(graph: Path, config: dict[str, Any]) -> None:
    session = OnnxRuntimeSession(graph, config, [CPU])
    session.give_back(ONE if config else {})
    assert session.run(["OUTPUT"], ONE)[0].tolist() == [[1, 1, 1, 1]]


@pytest.mark.parametrize(
    ("threads", "rows", "runs"), [("1", "2", [2, 2, 1]), ("1", "5", [5]), ("1", "0", [5]), ("2", "2", [5])]
)
def test_a_batch_runs_in_parts_on_one_thread(
    graph: Path, monkeypatch: pytest.MonkeyPatch, threads: str, rows: str, runs: list[int]
) -> None:
    parameters = {"intra_op_thread_count": {"string_value": threads}, "rows_per_run": {"string_value": rows}}
    session = OnnxRuntimeSession(graph, {"max_batch_size": 16, "parameters": parameters}, [CPU])
    ran: list[int] = []
    run = ort.InferenceSession.run

    def counted(self: ort.InferenceSession, outputs: Any, feeds: Any, *more: Any) -> Any:
        ran.append(len(feeds["INPUT"]))
        return run(self, outputs, feeds, *more)

    monkeypatch.setattr(ort.InferenceSession, "run", counted)
    five = np.arange(20, dtype=np.uint8).reshape(5, 4)
    (answer,) = session.run(["OUTPUT"], {"INPUT": five})
    assert (answer == five + 1).all()
    assert sorted(ran) == sorted(runs)


def test_a_cpus_instance_runs_on_the_cpu() -> None:
    assert providers({"model_instance_kind": "CPU", "model_instance_device_id": "0"}) == [CPU]


def test_a_batch_takes_the_cores_of_all_instances(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = {"intra_op_thread_count": {"string_value": "1"}, "rows_per_run": {"string_value": "1"}}
    session = OnnxRuntimeSession(graph, {"max_batch_size": 16, "parameters": parameters}, [CPU], instances=3)
    together = threading.Barrier(3, timeout=60)
    run = ort.InferenceSession.run

    def waits(self: ort.InferenceSession, *arguments: Any) -> Any:
        together.wait()
        return run(self, *arguments)

    monkeypatch.setattr(ort.InferenceSession, "run", waits)
    six = np.arange(24, dtype=np.uint8).reshape(6, 4)
    (answer,) = session.run(["OUTPUT"], {"INPUT": six})
    assert (answer == six + 1).all()


def test_a_part_that_fails_fails_the_batch(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = {"intra_op_thread_count": {"string_value": "1"}, "rows_per_run": {"string_value": "1"}}
    session = OnnxRuntimeSession(graph, {"max_batch_size": 16, "parameters": parameters}, [CPU])

    def fails(*_: Any) -> Any:
        raise ValueError

    monkeypatch.setattr(ort.InferenceSession, "run", fails)
    with pytest.raises(ValueError, match=r"^$"):
        session.run(["OUTPUT"], {"INPUT": np.zeros((3, 4), np.uint8)})
