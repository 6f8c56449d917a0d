# SPDX-License-Identifier: Apache-2.0
"""Starts Triton and the gateway for benchmarks, each in processes of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
from imagier_server import embedded


@asynccontextmanager
async def triton(repository: Path) -> AsyncIterator[embedded.EmbeddedTriton]:
    """Run an embedded Triton on a TCP port for a separate gateway process; progress goes to standard error."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()
    async with embedded.start(
        repository, on_progress=lambda line: print(f"  {line}", file=sys.stderr), grpc_port=port
    ) as running:
        yield running


@asynccontextmanager
async def gateway(
    repository: Path, engine: str, options: Sequence[str] = (), path: str = ""
) -> AsyncIterator[tuple[str, psutil.Process]]:
    """Run a gateway in front of the Triton at `engine`; yield its address and process. `path`: where it finds further modules."""
    read, write = os.pipe()
    command = [sys.executable, "-m", "imagier_client.cli", "serve", "--engine", engine]
    command += ["--port", "0", "--metrics-port", "0", "--http-port", "0", "--model-repository", str(repository)]
    command += ["--ready-fd", str(write), "--log-level", "warning", *options]
    environment = os.environ | ({"PYTHONPATH": path} if path else {})
    process = subprocess.Popen(command, pass_fds=[write], env=environment)  # noqa: ASYNC220 - it starts in a millisecond
    os.close(write)
    try:
        with os.fdopen(read) as ready:
            address = (await asyncio.to_thread(ready.readline)).strip()
        if not address:
            raise SystemExit("the gateway did not start")
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


@asynccontextmanager
async def server(
    repository: Path, path: str = ""
) -> AsyncIterator[tuple[str, embedded.EmbeddedTriton, psutil.Process]]:
    """Run Triton and a gateway; yield the address, Triton and the gateway's process."""
    async with (
        triton(repository) as engine,
        gateway(repository, engine.grpc_address, path=path) as (address, process),
    ):
        yield address, engine, process
