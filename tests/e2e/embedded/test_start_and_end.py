# SPDX-License-Identifier: Apache-2.0
"""The embedded Triton that starts, ends, is killed or never comes up, and what is left of it."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress

import psutil
import pytest
from imagier_server import embedded
from imagier_server.embedded import process, scratch
from imagier_server.embedded.scratch import SHARED_MEMORY
from support.real_server import called
from support.tiny_models import (
    PATIENCE,
    folder_of,
    gone,
    infer,
    install,
    slow,
    tritons,
    until,
)
from tritonclient.grpc import aio as triton


async def test_triton_killed_is_noticed_and_starts_again(repository):
    for _ in range(2):
        async with embedded.start(repository) as engine:
            processes = tritons(engine.pid)
            psutil.Process(engine.pid).kill()
            assert await asyncio.wait_for(engine.wait(), PATIENCE) == -signal.SIGKILL
        await gone(processes)
    async with embedded.start(repository) as engine, triton.InferenceServerClient(engine.grpc_address) as client:
        assert await infer(client, "add_one", [0, 0, 0, 0]) == [[1] * 4]


async def test_triton_that_crashes_says_why(repository):
    async with embedded.start(repository) as engine:
        psutil.Process(engine.pid).send_signal(signal.SIGSEGV)
        assert embedded.reason(await asyncio.wait_for(engine.wait(), PATIENCE)) == "SIGSEGV"
        assert any("Signal (11) received" in line for line in engine.last_words())


async def test_triton_that_hangs_is_killed(repository, monkeypatch):
    monkeypatch.setattr(process, "KILL_SECONDS", 0.2)
    async with embedded.start(repository) as engine:
        psutil.Process(engine.pid).suspend()
    assert await engine.wait() == -signal.SIGKILL


async def test_triton_that_is_ended_by_a_signal_while_it_starts_is_started_again(tmp_path, monkeypatch, caplog):
    """As it ends when it aborts over a lock in shared memory, which happens on a busy machine."""
    monkeypatch.setattr(process, "PROGRESS_SECONDS", 0)
    install(tmp_path / "models", "slow", slow(at_least=30))
    others = set(psutil.Process().children())
    killed: set[int] = set()

    def kill(_: str) -> None:
        for engine in called("tritonserver", set(psutil.Process().children()) - others):
            if called("triton_python", engine.children()) and len(killed) < process.START_ATTEMPTS - 1:
                engine.kill()
                killed.add(engine.pid)

    async with (
        embedded.start(tmp_path / "models", on_progress=kill) as engine,
        triton.InferenceServerClient(engine.grpc_address) as client,
    ):
        assert await infer(client, "slow", [0, 0, 0, 0]) == [[0, 0, 0, 0]]
        assert engine.pid not in killed
        regions = list(SHARED_MEMORY.glob(f"{folder_of(psutil.Process(engine.pid)).name}-*"))
        assert len(regions) == 1  # those that the killed ones left are gone
    assert len([each for each in caplog.messages if "ended while it started (SIGKILL)" in each]) == len(killed) == 2


async def test_triton_that_never_comes_up_is_given_up(repository, monkeypatch):
    monkeypatch.setattr(process, "PROGRESS_SECONDS", 0)
    others = set(psutil.Process().children())
    killed: set[int] = set()

    def kill(_: str) -> None:
        for engine in called("tritonserver", set(psutil.Process().children()) - others):
            engine.kill()
            killed.add(engine.pid)

    with pytest.raises(embedded.EmbeddedError, match="ended while it started"):
        async with embedded.start(repository, on_progress=kill):
            pass
    assert len(killed) == process.START_ATTEMPTS


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
