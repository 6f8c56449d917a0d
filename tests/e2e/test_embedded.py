# SPDX-License-Identifier: Apache-2.0
"""The embedded engine with the real Triton and graphs made on the spot: it answers, batches, survives, and leaves nothing."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from imagier_server import embedded
from imagier_server.embedded import process, scratch
from imagier_server.embedded.scratch import SHARED_MEMORY
from onnx import TensorProto, helper
from real_server import called
from tritonclient.grpc import aio as triton
from tritonclient.utils import InferenceServerException

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


@pytest.fixture
def repository(tmp_path) -> Path:
    install(tmp_path / "models", "add_one", add_one(), instances=2)
    return tmp_path / "models"


@pytest.fixture(autouse=True)
def prefix(monkeypatch) -> Iterator[str]:
    """A name of our own in shared memory, so that no test may leave anything there, nor any process of Triton."""
    name = f"imagier-test-{os.getpid()}-"
    monkeypatch.setattr(scratch, "PREFIX", name)
    others = set(psutil.Process().children())  # the server that other tests share
    yield name
    assert set(psutil.Process().children()) <= others
    assert not list(SHARED_MEMORY.glob(f"{name}*"))


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


async def test_it_answers_on_loopback_only_and_stops(repository, tmp_path, caplog):
    caplog.set_level("INFO")
    async with (
        embedded.start(repository, tmp_path / "log") as engine,
        triton.InferenceServerClient(engine.grpc_address) as client,
    ):
        assert await infer(client, "add_one", [1, 2, 3, 255]) == [[2, 3, 4, 0]]
        assert await infer(client, "add_one", [1, 1, 1, 1], [2, 2, 2, 2], priority=2, timeout=5_000_000) == [
            [2] * 4,
            [3] * 4,
        ]
        assert "nv_inference_count" in metrics(engine)
        processes = tritons(engine.pid)
        assert len(processes) == 3  # Triton and two instances
        listening = [each.laddr for each in processes[0].net_connections() if each.status == psutil.CONN_LISTEN]
        assert {f"{each.ip.removeprefix('::ffff:')}:{each.port}" for each in listening} == {
            engine.grpc_address,
            engine.metrics_address,
        }
        place = folder_of(processes[0])
        regions = list(SHARED_MEMORY.glob(f"{place.name}-*"))
        assert len(regions) == 2
        assert {each.stat().st_mode & 0o077 for each in (place, *regions)} == {0}
        for locked in (
            client.get_model_repository_index,
            client.get_system_shared_memory_status,
            client.get_log_settings,
        ):
            with pytest.raises(InferenceServerException, match="restricted"):
                await locked()
    await gone(processes)
    assert await engine.wait() == 0
    assert (tmp_path / "log" / "triton.log").stat().st_size
    assert any("older than the security fixes" in each for each in caplog.messages)


async def test_concurrent_requests_run_as_one_batch(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITONSERVER_DELAY_SCHEDULER", "8")  # the batcher waits for eight
    install(tmp_path, "add_one", add_one())
    async with embedded.start(tmp_path) as engine, triton.InferenceServerClient(engine.grpc_address) as client:
        warm_rows, warm_runs = await statistics(client, "add_one")
        answers = await asyncio.gather(*(infer(client, "add_one", [i, i, i, i], [0, 0, 0, i]) for i in range(8)))
        assert answers == [[[i + 1] * 4, [1, 1, 1, i + 1]] for i in range(8)]
        assert await statistics(client, "add_one") == (warm_rows + 16, warm_runs + 1)


async def test_a_failing_run_fails_its_requests_and_no_other(tmp_path):
    install(tmp_path, "look_up", look_up())
    async with embedded.start(tmp_path) as engine, triton.InferenceServerClient(engine.grpc_address) as client:
        with pytest.raises(InferenceServerException, match="out of data bounds"):
            await infer(client, "look_up", [8, 0, 0, 0])
        assert await infer(client, "look_up", [1, 2, 3, 7]) == [[2, 4, 6, 14]]
        assert len(tritons(engine.pid)) == 2


async def test_a_cancelled_request_is_not_run(tmp_path):
    install(tmp_path, "slow", slow(), batching="dynamic_batching { }")
    async with embedded.start(tmp_path) as engine, triton.InferenceServerClient(engine.grpc_address) as client:
        [_, instance] = tritons(engine.pid)
        idle = busy_seconds(instance)
        await infer(client, "slow", [50, 0, 0, 0])
        cost = busy_seconds(instance) - idle

        before = busy_seconds(instance)
        running = asyncio.create_task(infer(client, "slow", [50, 0, 0, 0]))
        await until(lambda: busy_seconds(instance) > before + cost / 4)
        waiting = asyncio.create_task(infer(client, "slow", [255, 0, 0, 0]))
        await until(lambda: pending(engine) == 1)
        waiting.cancel()
        await running
        await until(lambda: pending(engine) == 0)
        await infer(client, "slow", [0, 0, 0, 0])  # behind it, if it ran
        assert busy_seconds(instance) - before < 3 * cost


def busy_seconds(instance: psutil.Process) -> float:
    return sum(instance.cpu_times()[:2])


def pending(engine: embedded.EmbeddedTriton) -> int:
    return int(re.search(r"^nv_inference_pending_request_count{.*} (\d+)$", metrics(engine), re.MULTILINE)[1])


async def test_only_the_models_named_are_loaded(repository):
    install(repository, "look_up", look_up())
    start = embedded.start(repository, models=["look_up"])
    async with start as engine, triton.InferenceServerClient(engine.grpc_address) as client:
        assert await client.is_model_ready("look_up")
        assert not await client.is_model_ready("add_one")


async def test_a_broken_model_is_named(repository, tmp_path):
    (repository / "add_one" / "1" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(embedded.EmbeddedError, match=r"failed to load 'add_one' version 1: .*INVALID_PROTOBUF"):
        async with embedded.start(repository):
            pass


async def test_nothing_beside_the_pictures_is_run(repository, tmp_path, monkeypatch):
    for module in ("numpy", "json", "onnxruntime"):
        (tmp_path / f"{module}.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    async with embedded.start(repository):
        pass
    assert not (tmp_path / "run").exists()


async def test_a_port_taken_meanwhile_is_replaced(repository, monkeypatch):
    async with embedded.start(repository) as first:
        taken = [int(address.rpartition(":")[2]) for address in (first.grpc_address, first.metrics_address)]
        choose = process._free_ports
        choices = [[taken[0], *choose(1)], [*choose(1), taken[1]]]
        monkeypatch.setattr(process, "_free_ports", lambda count: choices.pop(0) if choices else choose(count))
        async with embedded.start(repository) as second:
            assert not choices
            assert second.grpc_address != first.grpc_address


async def test_progress_is_told_while_models_load(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "PROGRESS_SECONDS", 0)
    install(tmp_path, "add_one", add_one())
    told: list[str] = []
    async with embedded.start(tmp_path, on_progress=told.append):
        pass
    assert told[0].startswith("Triton: 0 of 1 models loaded")


async def test_triton_killed_is_noticed_and_starts_again(repository):
    for _ in range(2):
        async with embedded.start(repository) as engine:
            processes = tritons(engine.pid)
            psutil.Process(engine.pid).kill()
            assert await asyncio.wait_for(engine.wait(), PATIENCE) == -signal.SIGKILL
        await gone(processes)
    async with embedded.start(repository) as engine, triton.InferenceServerClient(engine.grpc_address) as client:
        assert await infer(client, "add_one", [0, 0, 0, 0]) == [[1] * 4]


async def test_triton_that_hangs_is_killed(repository, monkeypatch):
    monkeypatch.setattr(process, "KILL_SECONDS", 0.2)
    async with embedded.start(repository) as engine:
        psutil.Process(engine.pid).suspend()
    assert await engine.wait() == -signal.SIGKILL


async def test_a_start_given_up_leaves_nothing(repository):
    async def run() -> None:
        async with embedded.start(repository):
            await asyncio.Event().wait()

    others = set(psutil.Process().children())
    task = asyncio.create_task(run())
    await until(lambda: set(psutil.Process().children()) - others)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert set(psutil.Process().children()) <= others


GATEWAY = """
import asyncio, sys
from pathlib import Path
from imagier_server import embedded
from imagier_server.embedded import scratch

scratch.PREFIX = sys.argv[2]

async def main():
    async with embedded.start(Path(sys.argv[1])) as engine:
        print(engine.pid, flush=True)
        await engine.wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("victims", [("gateway",), ("gateway", "triton")], ids=" and ".join)
@pytest.mark.parametrize("moment", ["loading", "ready"])
async def test_kill_9_of_the_gateway_takes_triton_with_it(tmp_path, prefix, victims, moment):
    install(tmp_path, "slow", slow(at_least=30 if moment == "loading" else 0))
    gateway = await asyncio.create_subprocess_exec(
        sys.executable, "-c", GATEWAY, str(tmp_path), prefix, stdout=asyncio.subprocess.PIPE
    )
    if moment == "ready":
        assert await gateway.stdout.readline()
    await until(lambda: called("triton_python", tritons(gateway.pid)))
    # As many as are seen: right after the instance was seen, a look now and then finds Triton alone.
    engine, *_ = processes = tritons(gateway.pid)
    place = folder_of(engine)
    gateway.kill()
    if "triton" in victims:
        with suppress(psutil.NoSuchProcess):  # the kernel has told it to end, and it may have been quick
            engine.kill()
    await gateway.wait()
    await gone(processes)
    await until(lambda: not list(SHARED_MEMORY.glob(f"{place.name}*")))


async def test_the_kernel_ends_triton_when_even_its_guard_is_killed(repository, prefix):
    gateway = await asyncio.create_subprocess_exec(
        sys.executable, "-c", GATEWAY, str(repository), prefix, stdout=asyncio.subprocess.PIPE
    )
    assert await gateway.stdout.readline()
    processes = tritons(gateway.pid)
    [guard] = [each for each in processes[0].children() if each not in processes]
    guard.kill()
    gateway.kill()
    await gateway.wait()
    await gone(processes)
    scratch.remove_abandoned()


async def test_what_a_dead_engine_left_is_removed_at_the_next_start(repository, prefix):
    (SHARED_MEMORY / f"{prefix}dead").mkdir()
    (SHARED_MEMORY / f"{prefix}dead-region").touch()
    async with embedded.start(repository):
        assert not list(SHARED_MEMORY.glob(f"{prefix}dead*"))


async def test_memory_and_descriptors_do_not_grow(repository):
    async with embedded.start(repository) as engine, triton.InferenceServerClient(engine.grpc_address) as client:
        processes = tritons(engine.pid)

        async def run(requests: int) -> None:
            for _ in range(requests // ROWS):
                await asyncio.gather(*(infer(client, "add_one", [i, 0, 0, 0]) for i in range(ROWS)))

        def used() -> tuple[int, int, int]:
            regions = [each.stat().st_size for each in SHARED_MEMORY.glob(f"{folder_of(processes[0]).name}-*")]
            descriptors = sum(each.num_fds() for each in processes)
            return sum(each.memory_info().rss for each in processes), descriptors, sum(regions)

        await run(1_000)
        memory, descriptors, shared = used()
        await run(2_000)
        assert used()[0] - memory < 8 << 20
        assert used()[1:] == (descriptors, shared)
