# SPDX-License-Identifier: Apache-2.0
"""A server of our own for as long as one command runs: started as a subprocess, awaited, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

# -P: what lies in the working directory, beside somebody's pictures, is nobody's module.
COMMAND = (sys.executable, "-P", "-m", "imagier_client.cli", "serve", "--port", "0", "--metrics-port", "0", "--no-http")
STOP_SECONDS = 60.0
"""How long a server may take to end after SIGTERM; it drains first. Then it is killed."""
ABANDON_SECONDS = 5.0
"""The same while it is still starting: there is nothing to drain, and somebody has pressed Ctrl-C."""


class ServerStartError(Exception):
    """The server ended before it was ready, or before it was stopped; what it said was shown."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server at HOST:PORT; its `process`, if it is our own."""

    address: str
    process: Process | None = None

    def check(self) -> None:
        """Raises ServerStartError if it is our own and has ended: it will not come back."""
        if self.process is not None and self.process.returncode is not None:
            raise ServerStartError(f"the server ended with status {self.process.returncode}")


@asynccontextmanager
async def running(show: Callable[[str], None], command: Sequence[str] = COMMAND) -> AsyncIterator[Server]:
    """Starts a server and yields it once its models are ready; `show` gets each line it says until then.

    The server ends with us even if we are killed: its standard input, which it watches, is a pipe that we hold. It gets a process
    group of its own, so that Ctrl-C reaches us alone and pictures under way are not torn off before we stop it in order.
    Raises ServerStartError.
    """
    ready, ready_end = os.pipe()
    try:
        server = await asyncio.create_subprocess_exec(
            *command,
            "--ready-fd",
            str(ready_end),
            "--exit-with-parent",
            stdin=PIPE,
            stdout=PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=(ready_end,),
            process_group=0,
        )
    finally:
        os.close(ready_end)
    lines = _Lines(show)
    patience = ABANDON_SECONDS
    listening = asyncio.create_task(lines.listen(server))
    try:
        address = await _address(ready, server)
        if not address:
            await listening
            status = await server.wait()
            raise ServerStartError(
                f"the server ended with status {status} before it was ready; --server HOST:PORT uses one that runs already"
            )
        patience = STOP_SECONDS
        lines.show = _quiet
        yield Server(address, server)
    finally:
        lines.show = _quiet
        await _stop(server, patience)
        await listening


class _Lines:
    """Passes on what the server says. It is read to the end in any case: a full pipe would stop the server."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self.show = show

    async def listen(self, server: Process) -> None:
        assert server.stdout is not None
        # Not by readline, which gives up on a line longer than its buffer.
        rest = b""
        while chunk := await server.stdout.read(2**16):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self.show(line.decode(errors="replace"))
            rest = rest[: 2**16]
        if rest:
            self.show(rest.decode(errors="replace"))


def _quiet(_line: str) -> None:
    """Once it serves, the server's log is nobody's business here: failures come as answers."""


async def _address(ready: int, server: Process) -> str:
    """What the server writes once it is ready; "" if it ends before."""
    reader = asyncio.StreamReader()
    pipe = os.fdopen(ready, "rb", 0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        line = asyncio.create_task(reader.readline())
        ended = asyncio.create_task(server.wait())
        # Both: a process that the server left behind may hold the pipe open.
        await asyncio.wait({line, ended}, return_when=asyncio.FIRST_COMPLETED)
        for task in (line, ended):
            task.cancel()
        return line.result().decode().strip() if line.done() and not line.cancelled() else ""
    finally:
        transport.close()


async def _stop(server: Process, patience: float) -> None:
    if server.returncode is None:
        server.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(server.wait(), patience)
        except TimeoutError:
            server.kill()
            await server.wait()
