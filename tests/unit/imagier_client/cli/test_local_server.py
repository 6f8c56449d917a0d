# SPDX-License-Identifier: Apache-2.0
"""A server for one command, played by small scripts: started, awaited, listened to, stopped."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from imagier_client.cli import local_server
from imagier_client.cli.local_server import ServerStartError, running

READY = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
fd = int(sys.argv[sys.argv.index("--ready-fd") + 1])
def ready():
    os.write(fd, b"127.0.0.1:4711\\n")
    os.close(fd)
"""


def script(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", READY + code)


async def test_it_is_awaited_heard_and_stopped(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    heard: list[str] = []
    code = f"""
print("loading", file=sys.stderr); print("x" * 200_000, flush=True)
ready()
signal.sigwait({{signal.SIGTERM}})
open({str(mark)!r}, "w").write("stopped in order")
"""
    async with running(heard.append, script(code)) as server:
        assert server.address == "127.0.0.1:4711"
        server.check()
        assert not mark.exists()
    assert mark.read_text() == "stopped in order"
    # A line without end is cut, not kept.
    assert {line[:7] for line in heard} <= {"loading", "xxxxxxx"}
    assert max(map(len, heard), default=0) < 200_000


def test_nothing_beside_the_pictures_is_run(tmp_path: Path) -> None:
    for module in ("argparse", "statistics", "imagier_client", "imagier_server"):
        (tmp_path / f"{module}.py").write_text("open('run', 'w')", "utf-8")
    subprocess.run([*local_server.COMMAND, "--help"], cwd=tmp_path, stdout=subprocess.DEVNULL, check=True)
    assert not (tmp_path / "run").exists()


async def test_what_it_says_while_it_serves_is_read_and_not_shown() -> None:
    heard: list[str] = []
    # More than a pipe holds: unread, it would never come to its end.
    code = "ready(); print('log\\n' * 100_000, flush=True); signal.sigwait({signal.SIGTERM}); print('bye')"
    async with running(heard.append, script(code)):
        pass
    assert "bye" not in heard


@pytest.mark.parametrize(
    ("code", "status"), [("sys.exit(4)", 4), ("os.kill(os.getpid(), 9)", -9), ("ready() if 0 else 1", 0)]
)
async def test_one_that_ends_before_it_is_ready(code: str, status: int) -> None:
    heard: list[str] = []
    with pytest.raises(ServerStartError, match=rf"status {status} .* --server HOST:PORT "):
        async with running(heard.append, script(f"print('why', file=sys.stderr, flush=True); {code}")):
            pytest.fail("it is not ready")
    assert heard == ["why"]


async def test_a_child_that_holds_the_pipe_does_not_hold_us() -> None:
    code = "import subprocess; subprocess.Popen(['tail', '-f', '/dev/null'], pass_fds=(fd,), stdout=2); os._exit(5)"
    # The grandchild holds the ready pipe and our output pipe; give the output back first.
    code = code.replace("stdout=2", "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL")
    marker = "import os,signal,sys\n"
    with pytest.raises(ServerStartError, match="status 5"):
        async with running(lambda _: None, (sys.executable, "-c", marker + READY + code)):
            pytest.fail("it is not ready")


async def test_one_that_does_not_want_to_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_server, "STOP_SECONDS", 0.2)
    async with running(lambda _: None, script("ready(); signal.pause()")) as server:
        pass
    assert server.process is not None
    assert server.process.returncode == -signal.SIGKILL


async def test_its_standard_input_is_ours_to_close() -> None:
    # That is how it knows when we are gone; its mode says that it is a pipe.
    heard: list[str] = []
    code = "print('pipe' if os.fstat(0).st_mode & 0o170000 in (0o010000, 0o140000) else '?', flush=True); sys.exit(1)"
    with pytest.raises(ServerStartError):
        async with running(heard.append, script(code)):
            pytest.fail("it is not ready")
    assert heard == ["pipe"]


async def test_one_that_is_abandoned_while_it_starts_does_not_hold_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_server, "ABANDON_SECONDS", 0.2)
    starting = asyncio.Event()

    async def start() -> None:
        # It hears SIGTERM only once it is ready, which it never is.
        async with running(lambda _: starting.set(), script("print('loading', flush=True); signal.sigwait({10})")):
            pytest.fail("it is not ready")

    task = asyncio.create_task(start())
    await asyncio.wait_for(starting.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_one_that_ends_while_it_serves_is_known_to_have_ended() -> None:
    async with running(lambda _: None, script("ready(); sys.exit(7)")) as server:
        assert server.process is not None
        await server.process.wait()
        with pytest.raises(ServerStartError, match="status 7"):
            server.check()


def descriptors() -> int:
    gc.collect()  # what earlier tests left is not to be counted
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_nothing_is_left_open() -> None:
    async def opened() -> int:
        async with running(lambda _: None, script("ready(); signal.sigwait({signal.SIGTERM})")):
            pass
        return descriptors()

    assert await opened() == await opened()
