# SPDX-License-Identifier: Apache-2.0
"""Models of a few operators in a repository of their own, and what is asked of the real Triton that serves them."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import psutil
from imagier_server import embedded
from onnx import TensorProto, helper
from tritonclient.grpc import aio as triton

from support.real_server import called

ROWS = 16  # the largest batch of every model here


PATIENCE = 60.0  # seconds until something that must happen counts as not happening


POLICY = """dynamic_batching {
  priority_levels: 2
  default_priority_level: 1
  default_queue_policy {
    timeout_action: REJECT
    default_timeout_microseconds: 30000000
    allow_timeout_override: true
    max_queue_size: 64
  }
}"""


def install(repository: Path, name: str, nodes: list[onnx.NodeProto], *, instances: int = 1, batching: str = POLICY):
    """A model of our own: `INPUT` uint8 [N, 4] → `OUTPUT` uint8 [N, 4], computed by `nodes`."""
    shape = ("N", 4)
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("INPUT", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("OUTPUT", TensorProto.UINT8, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    version = repository / name / "1"
    version.mkdir(parents=True)
    onnx.save(model, version / "model.onnx")
    tensor = "value { data_type: TYPE_UINT8 dims: [ 4 ] zero_data: true }"
    (repository / name / "config.pbtxt").write_text(f"""
name: "{name}"
backend: "onnxruntime"
max_batch_size: {ROWS}
input [ {{ name: "INPUT" data_type: TYPE_UINT8 dims: [ 4 ] }} ]
output [ {{ name: "OUTPUT" data_type: TYPE_UINT8 dims: [ 4 ] }} ]
instance_group [ {{ count: {instances} kind: KIND_AUTO }} ]
version_policy {{ specific {{ versions: [ 1 ] }} }}
{batching}
optimization {{ graph {{ level: 1 }} }}
parameters {{ key: "intra_op_thread_count" value {{ string_value: "1" }} }}
parameters {{ key: "enable_mem_arena" value {{ string_value: "0" }} }}
parameters {{ key: "imagier_digest" value {{ string_value: "sha256:0" }} }}
model_warmup [
  {{ name: "one" batch_size: 1 inputs {{ key: "INPUT" {tensor} }} }},
  {{ name: "full" batch_size: {ROWS} inputs {{ key: "INPUT" {tensor} }} }}
]
""")


def constant(name: str, value: np.ndarray) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(value))


def add_one() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Cast", ["INPUT"], ["wide"], to=TensorProto.INT32),
        constant("one", np.array(1, np.int32)),
        helper.make_node("Add", ["wide", "one"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["OUTPUT"], to=TensorProto.UINT8),
    ]


def look_up() -> list[onnx.NodeProto]:
    """Doubles what is below 8, and fails on anything else: an index beyond its table."""
    return [
        helper.make_node("Cast", ["INPUT"], ["index"], to=TensorProto.INT64),
        constant("table", np.arange(0, 16, 2, np.uint8)),
        helper.make_node("Gather", ["table", "index"], ["OUTPUT"]),
    ]


def slow(at_least: int = 0) -> list[onnx.NodeProto]:
    """Answers its input after a loop of as many times 10 000 steps as its largest value says: some 10 ms each."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["carried"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, ()),
            helper.make_tensor_value_info("go", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("carried", TensorProto.UINT8, ("N", 4)),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("next", TensorProto.UINT8, ("N", 4)),
        ],
    )
    return [
        helper.make_node("Cast", ["INPUT"], ["wide"], to=TensorProto.INT64),
        helper.make_node("ReduceMax", ["wide"], ["asked"], keepdims=0),
        constant("least", np.array(at_least, np.int64)),
        helper.make_node("Max", ["asked", "least"], ["largest"]),
        constant("unit", np.array(10_000, np.int64)),
        helper.make_node("Mul", ["largest", "unit"], ["steps"]),
        constant("true", np.array(True)),
        helper.make_node("Loop", ["steps", "true", "INPUT"], ["OUTPUT"], body=body),
    ]


def tritons(pid: int) -> list[psutil.Process]:
    """Triton, and the process of each model instance."""
    return called("triton", (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)))


def folder_of(engine: psutil.Process) -> Path:
    return next(Path(each.split("=")[1]).parent for each in engine.cmdline() if each.startswith("--model-repository="))


async def gone(processes: list[psutil.Process]) -> None:
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, timeout=PATIENCE)
    assert not alive


async def until(condition: Callable[[], object]) -> None:
    """Look again and again, until the condition holds."""

    async def hold() -> None:
        never = asyncio.Event()
        while not await asyncio.to_thread(condition):
            with suppress(TimeoutError):
                await asyncio.wait_for(never.wait(), 0.05)

    await asyncio.wait_for(hold(), PATIENCE)


async def infer(client: triton.InferenceServerClient, model: str, *rows: list[int], **options) -> list[list[int]]:
    tensor = triton.InferInput("INPUT", [len(rows), 4], "UINT8")
    tensor.set_data_from_numpy(np.array(rows, np.uint8))
    answer = await client.infer(model, [tensor], **options)
    return answer.as_numpy("OUTPUT").tolist()


async def statistics(client: triton.InferenceServerClient, model: str) -> tuple[int, int]:
    """(rows inferred, runs of the model)"""
    [found] = (await client.get_inference_statistics(model)).model_stats
    return found.inference_count, found.execution_count


def metrics(engine: embedded.EmbeddedTriton) -> str:
    with urllib.request.urlopen(f"http://{engine.metrics_address}/metrics", timeout=PATIENCE) as answer:
        return answer.read().decode()


def busy_seconds(instance: psutil.Process) -> float:
    return sum(instance.cpu_times()[:2])


def pending(engine: embedded.EmbeddedTriton) -> int:
    return int(re.search(r"^nv_inference_pending_request_count{.*} (\d+)$", metrics(engine), re.MULTILINE)[1])
