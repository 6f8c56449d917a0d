# SPDX-License-Identifier: Apache-2.0
"""Models that config.pbtxt gives to OpenVINO, in a real Triton: as on ONNX Runtime, or not at all."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from imagier_server import embedded
from imagier_server.embedded import process
from onnx import helper
from support.tiny_models import constant, infer, install, tritons
from tritonclient.grpc import aio as triton
from tritonclient.utils import InferenceServerException

OPENVINO = 'name: "openvino"'


def accelerate(repository: Path, model: str, accelerator: str = OPENVINO) -> None:
    """Name an accelerator in a config, beside the level that `install` writes."""
    config = repository / model / "config.pbtxt"
    block = f"execution_accelerators {{ cpu_execution_accelerator [ {{ {accelerator} }} ] }}"
    config.write_text(config.read_text("utf-8").replace("optimization {", f"optimization {{ {block}"), "utf-8")


def reshape() -> list[onnx.NodeProto]:
    """Answers its input, and fails unless its largest value is the number of its rows."""
    return [
        helper.make_node("Cast", ["INPUT"], ["wide"], to=onnx.TensorProto.INT64),
        helper.make_node("ReduceMax", ["wide"], ["rows"], keepdims=1),
        constant("one", np.array([1], np.int64)),
        helper.make_node("Reshape", ["rows", "one"], ["flat"]),
        constant("four", np.array([4], np.int64)),
        helper.make_node("Concat", ["flat", "four"], ["shape"], axis=0),
        helper.make_node("Reshape", ["INPUT", "shape"], ["OUTPUT"]),
    ]


def libraries(pid: int) -> list[set[str]]:
    """Of each model instance, the names of the libraries that it has loaded."""
    return [{Path(each.path).name for each in instance.memory_maps()} for instance in tritons(pid)[1:]]


@pytest.fixture
def accelerated(repository: Path) -> Path:
    accelerate(repository, "add_one")
    return repository


async def test_openvino_answers_in_onnx_runtimes_place(accelerated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITONSERVER_DELAY_SCHEDULER", "8")  # the batcher waits for eight
    async with embedded.start(accelerated) as engine, triton.InferenceServerClient(engine.grpc_address) as client:
        # In one process of the two: they share a session.
        assert sum("libopenvino_intel_cpu_plugin.so" in loaded for loaded in libraries(engine.pid)) == 1
        answers = await asyncio.gather(*(infer(client, "add_one", [i, 255, 0, 0], [1, 1, 1, i]) for i in range(8)))
        assert answers == [[[i + 1, 0, 1, 1], [2, 2, 2, i + 1]] for i in range(8)]


async def test_a_failing_run_writes_nothing_of_its_tensors(tmp_path: Path) -> None:
    install(tmp_path / "models", "reshape", reshape())
    accelerate(tmp_path / "models", "reshape")
    # Its warm-up is all zeros, which fails.
    config = tmp_path / "models" / "reshape" / "config.pbtxt"
    config.write_text(config.read_text("utf-8").split("model_warmup")[0], "utf-8")
    async with (
        embedded.start(tmp_path / "models", tmp_path) as engine,
        triton.InferenceServerClient(engine.grpc_address) as client,
    ):
        with pytest.raises(InferenceServerException, match="while the graph ran") as failed:
            await infer(client, "reshape", [213, 0, 0, 0])
        assert "213" not in str(failed.value)
        assert await infer(client, "reshape", [1, 0, 1, 0]) == [[1, 0, 1, 0]]
    assert "213" not in (tmp_path / "triton.log").read_text("utf-8")


async def test_the_extra_that_is_missing_is_named(
    accelerated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = shutil.copytree(process.BACKEND, tmp_path / "backend")
    with (without / "openvino_session.py").open("a", encoding="utf-8") as code:
        code.write("\nsys.modules['openvino'] = None\n")
    monkeypatch.setattr(process, "BACKEND", without)
    with pytest.raises(embedded.EmbeddedError, match=r"failed to load 'add_one'.*pip install 'imagier\[openvino\]'"):
        async with embedded.start(accelerated):
            pass


@pytest.mark.parametrize(
    ("accelerator", "told"),
    [
        ('name: "tensorrt"', "unknown Execution Accelerator 'tensorrt' is requested"),
        (f'{OPENVINO} parameters {{ key: "precision" value: "INT4" }}', "FP32 or BF16 or FP16, not INT4"),
    ],
)
async def test_what_a_config_asks_for_in_vain_is_said(repository: Path, accelerator: str, told: str) -> None:
    accelerate(repository, "add_one", accelerator)
    with pytest.raises(embedded.EmbeddedError, match=told):
        async with embedded.start(repository):
            pass
