# SPDX-License-Identifier: Apache-2.0
"""Processes that look like model instances: found by their parent and name, and lost when they end or are stopped."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from imagier_server.embedded import model_processes
from imagier_server.embedded.model_processes import End, Loss, find, lost, stopped, stuck


@pytest.fixture
def instances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two for the tagger and one for the captioner, children of this process; and another child, which is none."""
    monkeypatch.setattr(model_processes, "LOOK_SECONDS", 0.01)
    stub = tmp_path / "triton_python_backend_stub"
    shutil.copy(os.path.realpath("/bin/sh"), stub)
    graphs = {model: tmp_path / "models" / model / "1" / "model.onnx" for model in ("tagger", "captioner")}
    for graph in graphs.values():
        graph.parent.mkdir(parents=True)
        graph.write_text("read forever\n", "ascii")
    started = [
        subprocess.Popen([stub, graphs[model]], stdin=subprocess.PIPE) for model in ("tagger", "tagger", "captioner")
    ]
    other = subprocess.Popen(["sleep", "1000"])
    yield started
    for process in (*started, other):
        process.kill()
        process.communicate()


async def test_each_is_found_with_its_model(instances: list[subprocess.Popen[bytes]]) -> None:
    first, second, third = (each.pid for each in instances)
    assert find(os.getpid()) == {first: "tagger", second: "tagger", third: "captioner"}
    assert not find(first)


@pytest.mark.parametrize("victim", [0, 1, 2])
@pytest.mark.parametrize(("how", "end"), [(signal.SIGKILL, End.ENDED), (signal.SIGSTOP, End.STOPPED)])
async def test_whichever_is_lost_is_named(
    instances: list[subprocess.Popen[bytes]], victim: int, how: signal.Signals, end: End
) -> None:
    losing = asyncio.create_task(lost(os.getpid(), find(os.getpid())))
    await asyncio.sleep(0)
    instances[victim].send_signal(how)
    async with asyncio.timeout(10):
        assert await losing == Loss(("tagger", "tagger", "captioner")[victim], end)


async def test_one_that_has_ended_already_is_lost(instances: list[subprocess.Popen[bytes]]) -> None:
    found = find(os.getpid())
    instances[2].kill()
    instances[2].wait()  # nobody else may have waited for it
    async with asyncio.timeout(10):
        assert await lost(os.getpid(), found) == Loss("captioner", End.ENDED)


async def test_triton_itself_is_looked_at(instances: list[subprocess.Popen[bytes]]) -> None:
    triton, *_ = instances
    losing = asyncio.create_task(lost(triton.pid, {}))
    await asyncio.sleep(0)
    triton.send_signal(signal.SIGSTOP)
    async with asyncio.timeout(10):
        assert await losing == Loss("", End.STOPPED)


async def test_nothing_is_held_afterwards(instances: list[subprocess.Popen[bytes]]) -> None:
    before = psutil.Process().num_fds()
    losing = asyncio.create_task(lost(os.getpid(), find(os.getpid())))
    await asyncio.sleep(0)
    losing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await losing
    assert psutil.Process().num_fds() == before


def test_those_that_hold_up_a_start(instances: list[subprocess.Popen[bytes]]) -> None:
    assert not stuck(os.getpid())
    instances[0].send_signal(signal.SIGSTOP)
    instances[1].kill()
    os.waitid(os.P_PID, instances[1].pid, os.WEXITED | os.WNOWAIT)
    os.waitid(os.P_PID, instances[0].pid, os.WSTOPPED | os.WNOWAIT)
    assert stuck(os.getpid()) == {instances[0].pid, instances[1].pid}


def test_which_model_has_a_stopped_process(instances: list[subprocess.Popen[bytes]]) -> None:
    found = find(os.getpid())
    instances[1].send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, instances[1].pid, os.WSTOPPED | os.WNOWAIT)
    assert {model: stopped(found, model) for model in ("tagger", "captioner")} == {"tagger": True, "captioner": False}
