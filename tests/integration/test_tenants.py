# SPDX-License-Identifier: Apache-2.0
"""Two tenants share the bulk lane in equal parts, though one has ten streams and the other one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, tags_pb2
from support.fake_triton import FakeTriton, serving
from support.relay import through
from support.running_gateway import gateway, picture

WINDOW = 16
ANSWERS = 300


class Tenant:
    """Streams from one address that send for as long as anybody reads; each answer is counted by the tenant's name."""

    def __init__(self, name: str, count: Counter[str], changed: asyncio.Event) -> None:
        self._name, self._count, self._changed = name, count, changed
        self._request = annotator_pb2.AnnotateRequest(image=picture(size=(512, 384)), tags=tags_pb2.TagsOptions())

    async def stream(self, stub: annotator_pb2_grpc.AnnotatorServiceStub) -> None:
        window = asyncio.Semaphore(WINDOW)

        async def requests() -> AsyncIterator[annotator_pb2.AnnotateStreamRequest]:
            while True:
                await window.acquire()
                yield annotator_pb2.AnnotateStreamRequest(request=self._request)

        async for answer in stub.AnnotateStream(requests()):
            assert answer.WhichOneof("outcome") == "response"
            self._count[self._name] += 1
            self._changed.set()
            window.release()


async def test_one_stream_gets_as_much_as_ten_of_another_tenant(
    repository: Path, fake: FakeTriton, unused_tcp_port: int
) -> None:
    count, changed = Counter[str](), asyncio.Event()

    async def counted(least: int) -> None:
        while min(count["ten"], count["one"]) < least or count.total() < 2 * least:
            changed.clear()
            await changed.wait()

    async with (
        serving(fake) as port,
        gateway(repository, port, unused_tcp_port) as running,
        through("127.0.0.2", int(running.address.rpartition(":")[2])) as other_port,
        grpc.aio.insecure_channel(f"127.0.0.1:{other_port}") as channel,
        asyncio.timeout(120),
    ):
        await running.until(ready=True)
        other = annotator_pb2_grpc.AnnotatorServiceStub(channel)
        streams = [asyncio.create_task(Tenant("ten", count, changed).stream(other)) for _ in range(10)]
        streams += [asyncio.create_task(Tenant("one", count, changed).stream(running.stub))]
        try:
            await counted(20)  # both are under way
            count.clear()
            while count.total() < ANSWERS:
                changed.clear()
                await changed.wait()
        finally:
            for stream in streams:
                stream.cancel()
            await asyncio.wait(streams)
    assert count["one"] > 0.4 * count.total()
    assert count["ten"] > 0.4 * count.total()
