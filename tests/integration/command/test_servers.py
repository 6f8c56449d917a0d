# SPDX-License-Identifier: Apache-2.0
"""What becomes of a run whose server is away, is lost, is its own, or whose reader leaves."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from imagier_client.cli import command as command_module
from PIL import Image
from support.command_run import AWAY, COMMAND, run, summary
from support.scripted_annotator import (
    Requests,
    Scripted,
    StreamResponse,
    answer,
    refuse,
    serving,
    status,
)


async def test_an_engine_that_is_away_for_a_while_loses_nothing(
    server: str, script: Scripted, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[float] = []

    async def restarting(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        async for item in requests:
            asked.append(item.timeout.ToTimedelta().total_seconds())
            made = answer(item.request)
            if len(asked) < 6:
                made.response.ocr.Clear()
                made.response.ocr.status.CopyFrom(AWAY)
            yield made

    script.stream = restarting
    assert await run(folder, "--server", server, "--timeout", "77", "--format", "jsonl") == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["response"]["ocr"]["text"] for line in out.splitlines()] == ["Rue des Lilas"] * 3
    waits = summary(err)[1]  # once more where a picture was answered in between
    assert 1 <= len(waits) <= 3
    assert {note.partition(";")[0] for note in waits} == {
        "waiting for the server (ENGINE_UNAVAILABLE): a fixed sentence"
    }
    assert all(note.endswith("for at most 300 s") for note in waits)
    assert set(asked) == {77}


async def test_nobody_listens(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(folder, "--server", "127.0.0.1:1", "--format", "jsonl") == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert summary(err)[0] == "0 annotated, 0 failed, 1 passed over (1 .txt), 3 not reached"


async def test_a_server_lost_halfway(
    server: str, script: Scripted, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def lost(requests: Requests, context: Any) -> AsyncIterator[StreamResponse]:
        held = None
        async for item in requests:
            if held is not None:
                yield answer(item.request)
                await refuse(context, status(grpc.StatusCode.PERMISSION_DENIED))
            held = item.request

    script.stream = lost
    assert await run(folder, "--server", server, "--format", "jsonl") == 3
    out, err = capsys.readouterr()
    # The second was answered, the first was not: what is known is still printed.
    assert [Path(json.loads(line)["path"]).name for line in out.splitlines()] == ["b.jpg"]
    assert summary(err)[0] == "1 annotated, 0 failed, 1 passed over (1 .txt), 2 not reached"


async def test_no_server_is_started_for_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(tmp_path) == 0
    assert "no pictures found" in capsys.readouterr().err
    assert await run(tmp_path / "missing.jpg", "--format", "jsonl") == 1
    assert json.loads(capsys.readouterr().out)["error"]["reason"] == "UNREADABLE_FILE"


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize(("how", "exit_status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_stopped_it_says_how_far_it_got(
    server: str, script: Scripted, folder: Path, how: signal.Signals, exit_status: int
) -> None:
    reached, gone = asyncio.Event(), asyncio.Event()

    async def hang(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        try:
            async for _ in requests:
                reached.set()
        finally:
            gone.set()
        yield StreamResponse()

    script.stream = hang
    process = await asyncio.create_subprocess_exec(
        *COMMAND, folder, "--server", server, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    await asyncio.wait_for(reached.wait(), 30)
    process.send_signal(how)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, out) == (exit_status, b"")
    assert summary(err.decode()) == ("0 annotated, 0 failed, 1 passed over (1 .txt), 3 not reached", [])
    await asyncio.wait_for(gone.wait(), 30)


@pytest.mark.parametrize("style", ["jsonl", "alto"])
async def test_a_reader_that_leaves_is_no_error(server: str, tmp_path: Path, style: str) -> None:
    for number in range(200):
        Image.new("RGB", (16, 16)).save(tmp_path / f"{number:03}.png")
    reader, writer = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *COMMAND, tmp_path, "--server", server, "--format", style, stdout=writer, stderr=asyncio.subprocess.PIPE
    )
    os.close(writer)
    assert len(await asyncio.to_thread(os.read, reader, 100)) > 20
    os.close(reader)
    _, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 141
    ending, others = summary(err.decode())
    assert "0 failed, 0 passed over" in ending
    assert not others


async def test_a_server_of_its_own(
    script: Scripted, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The stand-in server says where the real one of this test listens.
    stand_in = """
import os, signal, sys
fd = int(sys.argv[sys.argv.index("--ready-fd") + 1])
assert "--exit-with-parent" in sys.argv
print("loading", file=sys.stderr, flush=True)
os.write(fd, (sys.argv[1] + "\\n").encode())
os.close(fd)
print("a request came", file=sys.stderr, flush=True)
signal.sigwait({signal.SIGTERM})
"""
    async with serving(script) as address:
        command = (
            sys.executable,
            "-c",
            "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {15})" + stand_in,
            address,
        )
        monkeypatch.setattr(command_module, "running", lambda show: running(show, command))
        assert await run(folder) == 0
    out, err = capsys.readouterr()
    assert out.count("Rue des Lilas") == 3
    assert "loading" in err


async def test_a_server_that_does_not_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (sys.executable, "-c", "import sys; print('no models', file=sys.stderr); sys.exit(4)")
    monkeypatch.setattr(command_module, "running", lambda show: running(show, command))
    assert await run(folder) == 3
    err = capsys.readouterr().err
    assert "no models" in err
    assert "status 4" in err


running = command_module.running
