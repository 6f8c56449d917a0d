# SPDX-License-Identifier: Apache-2.0
"""Two gateways count a quota together in a real Redis, and each by itself while Redis is away."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from imagier.v1 import annotator_pb2, tags_pb2
from support.fake_triton import serving
from support.running_gateway import Gateway, details, gateway, picture, status_of
from support.scripted_models import scripted_triton, write_repository

TAGS = annotator_pb2.AnnotateRequest(image=picture(size=(64, 64)), tags=tags_pb2.TagsOptions())


@contextmanager
def redis(folder: Path, port: int) -> Iterator[None]:
    """A Redis that listens. Debian's redis-tools has the server under another name."""
    program = shutil.which("redis-check-rdb")
    if program is None:
        pytest.skip("Debian's redis-tools is missing")
    options = (
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--requirepass",
        "secret",
    )
    with subprocess.Popen(
        ["redis-server", *options], executable=program, cwd=folder, stdout=subprocess.DEVNULL
    ) as server:
        try:
            while server.poll() is None:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
            assert server.poll() is None
            yield
        finally:
            server.terminate()


async def outcome(running: Gateway) -> str:
    try:
        await running.stub.Annotate(TAGS)
    except grpc.aio.AioRpcError as error:
        return str(details(status_of(error))["ErrorInfo"].reason)
    return "ok"


async def test_two_gateways_share_a_window(tmp_path: Path, unused_tcp_port_factory: Callable[[], int]) -> None:
    repository, redis_port = write_repository(tmp_path), unused_tcp_port_factory()
    options = {"quota_pictures": "10 per hour", "quota_store": f"redis://:secret@127.0.0.1:{redis_port}/1"}
    async with (
        serving(scripted_triton()) as engine,
        gateway(repository, engine, unused_tcp_port_factory(), **options) as one,
        gateway(repository, engine, unused_tcp_port_factory(), **options) as other,
    ):
        await asyncio.gather(one.until(ready=True), other.until(ready=True))
        with redis(tmp_path, redis_port):
            outcomes = await asyncio.gather(*(outcome(each) for each in (one, other) for _ in range(10)))
            assert sorted(outcomes) == ["QUOTA_EXCEEDED"] * 10 + ["ok"] * 10
        # Without Redis each counts by itself, and nobody is refused for that.
        outcomes = [await outcome(one) for _ in range(11)]
        assert outcomes == ["ok"] * 10 + ["QUOTA_EXCEEDED"]
        with redis(tmp_path, redis_port):
            async with asyncio.timeout(60):  # it is asked again after some seconds; a new one has forgotten
                while await outcome(one) != "ok":
                    pass
