# SPDX-License-Identifier: Apache-2.0
"""Where the gateway can listen: IPv6, names, sockets in the file system; and what it says when it cannot."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import sys
from pathlib import Path

import pytest
from support.fake_triton import FakeTriton, serving
from support.running_gateway import gateway, picture, tags_and_text
from support.served_gateway import SERVE


@pytest.mark.parametrize(
    ("host", "address"), [("::1", "[::1]:"), ("[::1]", "[::1]:"), ("::", "[::]:"), ("localhost", "localhost:")]
)
async def test_the_address_that_it_says_can_be_connected_to(
    repository: Path, fake: FakeTriton, unused_tcp_port: int, host: str, address: str
) -> None:
    async with (
        serving(fake) as port,
        gateway(repository, port, unused_tcp_port, host=host, insecure_open=True) as running,
    ):
        assert running.address.startswith(address)
        await running.until(ready=True)
        metrics = await asyncio.open_connection("localhost" if host == "localhost" else "::1", unused_tcp_port)
        metrics[1].close()


async def test_sockets_in_the_file_system(
    repository: Path, fake: FakeTriton, unused_tcp_port: int, tmp_path: Path
) -> None:
    calls, metrics = tmp_path / "calls", tmp_path / "metrics"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(os.fspath(calls))  # of one that was killed
    hosts = {"host": f"unix:{calls}", "metrics_host": f"unix:{metrics}"}
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port, **hosts) as running:
        assert running.address == f"unix:{calls}"
        await running.until(ready=True)
        assert (await running.stub.Annotate(tags_and_text(picture()))).cost == 2
        for path in (calls, metrics):
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
        reader, writer = await asyncio.open_unix_connection(metrics)
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert b"imagier_requests_total" in await reader.read()
        writer.close()
    assert not calls.exists()
    assert not metrics.exists()


@pytest.mark.parametrize("flag", ["--port", "--metrics-port"])
async def test_a_taken_port_is_said_before_anything_is_started(repository: Path, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        flags = ["--port", "0", "--metrics-port", "0", "--model-repository", str(repository), flag, port]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SERVE, *flags, stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
    assert process.returncode == 1
    assert said.decode().splitlines() == [
        f"imagier serve: cannot listen on 127.0.0.1:{port}: Address already in use"
    ], "no engine, no decoder"
