# SPDX-License-Identifier: Apache-2.0
"""The embedded Triton at work: batches, failures, cancelled requests, models that are loaded or not."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from imagier_server import embedded
from imagier_server.embedded import process
from imagier_server.embedded.scratch import SHARED_MEMORY
from imagier_server.errors import EngineUnavailableError, OutOfStepError
from imagier_server.metrics import Metrics
from imagier_server.triton import TritonEngine
from support.calls import call
from support.real_server import Server, called
from support.tiny_models import (
    PATIENCE,
    POLICY,
    ROWS,
    add_one,
    busy_seconds,
    folder_of,
    gone,
    infer,
    install,
    look_up,
    metrics,
    pending,
    slow,
    statistics,
    tritons,
    until,
)
from tritonclient.grpc import aio as triton
from tritonclient.utils import InferenceServerException


async def test_bulk_work_waits_longer_in_a_queue_than_a_call(tmp_path):
    """As our models' configs say it: a policy of its own for level 2. A request's own timeout only shortens what stands there."""
    policy = POLICY.replace("30000000", "200000")
    bulk = POLICY[POLICY.index("{", POLICY.index("default_queue_policy")) : POLICY.rindex("}")]
    batching = f"{policy.removesuffix('}')}  priority_queue_policy {{ key: 2 value {bulk} }}\n}}"
    install(tmp_path / "models", "slow", slow(), batching=batching)
    async with (
        embedded.start(tmp_path / "models", tmp_path / "log") as engine,
        triton.InferenceServerClient(engine.grpc_address) as client,
    ):
        [_, instance] = tritons(engine.pid)
        idle = busy_seconds(instance)
        long = asyncio.create_task(infer(client, "slow", [255, 0, 0, 0]))
        await until(lambda: busy_seconds(instance) > idle + 0.1)
        waiting = (infer(client, "slow", [level, 0, 0, 0], priority=level, timeout=60_000_000) for level in (1, 2))
        late, patient = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(late, InferenceServerException)
        assert "timeout expired" in late.message().lower()
        assert patient == [[2, 0, 0, 0]]
        assert await long == [[255, 0, 0, 0]]


async def test_it_answers_at_a_socket_of_this_user_alone_and_stops(repository, tmp_path, caplog):
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
        assert [f"{each.ip.removeprefix('::ffff:')}:{each.port}" for each in listening] == [engine.metrics_address]
        place = folder_of(processes[0])
        sockets = {each.laddr for each in processes[0].net_connections("unix") if each.laddr}
        assert {f"unix:{each}" for each in sockets} == {engine.grpc_address}
        assert Path(*sockets).parent == place  # and not in the abstract namespace, which has no permissions
        regions = list(SHARED_MEMORY.glob(f"{place.name}-*"))
        assert len(regions) == 2
        assert {each.stat().st_mode & 0o077 for each in (place, *map(Path, sockets), *regions)} == {0}
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
        with pytest.raises(InferenceServerException, match="InvalidArgument while the graph ran"):
            await infer(client, "look_up", [8, 0, 0, 0])
        assert await infer(client, "look_up", [1, 2, 3, 7]) == [[2, 4, 6, 14]]
        assert len(tritons(engine.pid)) == 2


async def test_a_failing_run_writes_nothing_of_its_tensors(tmp_path):
    install(tmp_path / "models", "look_up", look_up())
    async with (
        embedded.start(tmp_path / "models", tmp_path) as engine,
        triton.InferenceServerClient(engine.grpc_address) as client,
    ):
        with pytest.raises(InferenceServerException) as failed:
            await infer(client, "look_up", [213, 0, 0, 0])
        assert "213" not in str(failed.value)
    assert "idx=" not in (tmp_path / "triton.log").read_text("utf-8")


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


async def test_no_other_requests_answer_passes_for_ones_own(tmp_path):
    """A model's process that does not run for a while, amid a batch: Triton gives the batch up, and is out of step from then on."""
    install(tmp_path, "slow", slow(at_least=1))
    async with embedded.start(tmp_path) as engine:
        client = TritonEngine(engine.grpc_address, {}, Metrics(), returns_ids=True)

        async def answered(value: int) -> int:
            """What the answer holds; 0 if the engine does not vouch for it."""
            row = np.full((1, 4), value, np.uint8)
            with suppress(OutOfStepError, EngineUnavailableError):
                return int((await client.infer("slow", {"INPUT": row}, call(seconds=PATIENCE)))["OUTPUT"][0, 0])
            return 0

        assert [await answered(value) for value in (1, 2)] == [1, 2]
        [_, instance] = tritons(engine.pid)
        before = busy_seconds(instance)
        given_up = asyncio.create_task(answered(100))
        await until(lambda: busy_seconds(instance) > before + 0.1)
        instance.suspend()
        assert await given_up == 0
        instance.resume()
        # Triton's answers are those of the requests before, unless it has replaced the process by then. Never another's.
        assert [await answered(value) for value in (3, 4, 5)] in ([0, 0, 0], [0, 0, 5], [0, 4, 5], [3, 4, 5])
        engine.kill()  # it may end by itself, or never
        await client.close()


async def test_only_the_models_named_are_loaded(repository):
    install(repository, "look_up", look_up())
    start = embedded.start(repository, models=["look_up"])
    async with start as engine, triton.InferenceServerClient(engine.grpc_address) as client:
        assert await client.is_model_ready("look_up")
        assert not await client.is_model_ready("add_one")


async def test_a_broken_model_is_named(repository, tmp_path):
    (repository / "add_one" / "1" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(embedded.EmbeddedError, match=r"failed to load 'add_one' version 1: .*INVALID_PROTOBUF"):
        async with embedded.start(repository, tmp_path):
            pass
    assert (tmp_path / "triton.log").read_text("utf-8").count("loading: add_one:1") == 1  # once is enough to know


async def test_nothing_beside_the_pictures_is_run(repository, tmp_path, monkeypatch):
    for module in ("numpy", "json", "onnxruntime"):
        (tmp_path / f"{module}.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    async with embedded.start(repository):
        pass
    assert not (tmp_path / "run").exists()


async def test_progress_is_told_while_models_load(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "PROGRESS_SECONDS", 0)
    install(tmp_path, "add_one", add_one())
    told: list[str] = []
    async with embedded.start(tmp_path, on_progress=told.append):
        pass
    assert told[0].startswith("Triton: 0 of 1 models loaded")


async def test_the_regions_are_large_enough_for_full_batches_and_the_largest_canvases(server: Server) -> None:
    [engine] = called("tritonserver", server.family)
    [address] = [word.partition("=")[2] for word in engine.cmdline() if word.startswith("--grpc-address=")]
    largest = {"tagger": [16, 260, 260, 3], "text_detector": [1, 1024, 1024, 3]}
    async with triton.InferenceServerClient(f"{address}:1") as client:
        for model, shape in largest.items():
            pixels = triton.InferInput("pixels", shape, "UINT8").set_data_from_numpy(np.zeros(shape, np.uint8))
            # One waits for each instance while another runs.
            await asyncio.gather(*(client.infer(model, [pixels]) for _ in range(4)))
    regions = list(SHARED_MEMORY.glob(f"{folder_of(engine).name}-*"))
    assert len(regions) == len(called("triton_python", server.family))
    assert {region.stat().st_size for region in regions} == {process.SHM_BYTES}


async def test_the_instances_of_a_model_share_a_session(repository, tmp_path):
    install(repository, "look_up", look_up(), instances=2)
    async with embedded.start(repository) as engine, triton.InferenceServerClient(engine.grpc_address) as client:
        files = {
            each.pid: {Path(mapped.path).name for mapped in each.memory_maps()} for each in tritons(engine.pid)[1:]
        }
        sharing = [any("onnxruntime" in name and ".so" in name for name in names) for names in files.values()]
        assert sorted(sharing) == [False, False, True, True]  # of two models, two instances each
        answers = await asyncio.gather(*(infer(client, "add_one", [i, 0, 0, 255]) for i in range(40)))
        assert answers == [[[i + 1, 1, 1, 0]] for i in range(40)]
        failed = await asyncio.gather(
            *(infer(client, "look_up", [8, 0, 0, 0]) for _ in range(40)), return_exceptions=True
        )
        assert {str(error).partition("] ")[2] for error in failed} == {"InvalidArgument while the graph ran"}
        assert await infer(client, "look_up", [1, 2, 3, 7]) == [[2, 4, 6, 14]]


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
