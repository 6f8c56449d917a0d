# SPDX-License-Identifier: Apache-2.0
"""Two gateways, one stopped after the other: what is under way is answered, what is new goes to the other, nothing fails.

Behind a list of addresses a gateway comes back where it was; behind a name, as in Kubernetes, another takes its place elsewhere.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Self

import grpc
import pytest
from grpc_health.v1 import health_pb2
from imagier.v1 import annotator_pb2, tags_pb2
from imagier_client import Annotation, AsyncClient, Tags
from support.fake_triton import FakeTriton, serving
from support.running_gateway import Gateway, details, gateway, picture, status_of

PICTURE = picture("PNG", (64, 64))
REQUEST = annotator_pb2.AnnotateRequest(image=PICTURE, tags=tags_pb2.TagsOptions())


class Held:
    """The tagger answers when it is released."""

    def __init__(self, fake: FakeTriton) -> None:
        self.arrived = asyncio.Semaphore(0)
        self.release = asyncio.Event()
        self._scores = fake.behaviours["tagger"]
        fake.behaviours["tagger"] = self._answer

    async def _answer(self, request: Any, context: Any) -> Any:
        self.arrived.release()
        await self.release.wait()
        return await self._scores(request, context)


@pytest.fixture
async def engine(fake: FakeTriton) -> AsyncIterator[int]:
    async with serving(fake) as port:
        yield port


class Gateways:
    """Gateways before one engine, to be started and stopped one by one; a started one has the port that it had."""

    def __init__(self, repository: Path, engine: int) -> None:
        self._repository = repository
        self._engine = engine
        self._running: dict[int, AsyncExitStack] = {}
        self._connections = AsyncExitStack()
        self._ports: dict[int, int] = {}

    async def start(self, number: int, **overrides: Any) -> Gateway:
        stack = self._running[number] = AsyncExitStack()
        port = self._ports.get(number, 0)
        options = {"port": port, "decoders": 1, "drain_seconds": 20.0, **overrides}
        started = await stack.enter_async_context(gateway(self._repository, self._engine, 0, **options))
        self._ports[number] = int(started.address.rpartition(":")[2])
        await started.until(ready=True)
        # That one's connection ends before the gateway does.
        channel = await self._connections.enter_async_context(grpc.aio.insecure_channel(started.address))
        return Gateway(started.address, channel, 0)

    async def stop(self, number: int) -> None:
        await self._running.pop(number).aclose()

    async def close(self) -> None:
        await self._connections.aclose()
        for number in tuple(self._running):
            await self.stop(number)

    @property
    def target(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port in self._ports.values())


@pytest.fixture
async def gateways(repository: Path, engine: int) -> AsyncIterator[Gateways]:
    made = Gateways(repository, engine)
    yield made
    await made.close()


async def test_what_is_under_way_is_answered_and_what_is_new_is_refused(gateways: Gateways, fake: FakeTriton) -> None:
    held, running = Held(fake), await gateways.start(1)
    under_way = running.stub.Annotate(REQUEST)
    stream = running.stub.AnnotateStream()
    await stream.write(annotator_pb2.AnnotateStreamRequest(request=REQUEST))
    watch = running.health.Watch(health_pb2.HealthCheckRequest(service=""))
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    async with asyncio.timeout(20):
        await held.arrived.acquire()
        await held.arrived.acquire()
        stopping = asyncio.create_task(gateways.stop(1))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await running.stub.Annotate(REQUEST)
        # UNAVAILABLE from the door, CANCELLED from gRPC: the clients try both elsewhere.
        assert refused.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        held.release.set()
        assert (await under_way).tags.tags
        assert (await stream.read()).response.tags.tags
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await stream.read()
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        assert details(status_of(ended.value))["ErrorInfo"].reason == "DRAINING"
        assert "RetryInfo" in details(status_of(ended.value))
        await stopping  # long before the grace is over, though somebody watches health


async def test_what_the_grace_is_too_short_for_may_be_tried_elsewhere(gateways: Gateways, fake: FakeTriton) -> None:
    held, running = Held(fake), await gateways.start(1, drain_seconds=0.1)
    under_way = running.stub.Annotate(REQUEST)
    await held.arrived.acquire()
    await gateways.stop(1)
    with pytest.raises(grpc.aio.AioRpcError) as cut:
        await under_way
    assert cut.value.code() is grpc.StatusCode.UNAVAILABLE


class Load:
    """Calls and a stream without a pause, for the time of the `async with`; the first failure ends the test."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._over = False
        self._done = {"calls": 0, "stream": 0}
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        for work in (self._calls, self._calls, self._calls, self._stream):
            self._group.create_task(work())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._over = True
        await self._group.__aexit__(*exception)

    async def more(self) -> None:
        """Returns when both have gone on."""
        before = dict(self._done)
        async with asyncio.timeout(20):
            while any(done < before[kind] + 10 for kind, done in self._done.items()):  # noqa: ASYNC110 - only counted
                await asyncio.sleep(0)

    async def _calls(self) -> None:
        while not self._over:
            assert (await self._client.annotate(PICTURE, Tags())).tags.ok
            self._done["calls"] += 1

    async def _stream(self) -> None:
        async for _, outcome in self._client.annotate_many(self._pictures(), Tags(), in_flight=4):
            assert isinstance(outcome, Annotation), outcome
            assert outcome.tags.ok
            self._done["stream"] += 1

    def _pictures(self) -> Iterator[tuple[int, bytes]]:
        number = 0
        while not self._over:
            yield number, PICTURE
            number += 1


async def test_a_rolling_restart_of_two_fails_no_call_and_no_picture_of_a_stream(gateways: Gateways) -> None:
    await gateways.start(1)
    await gateways.start(2)
    async with AsyncClient(gateways.target) as client, Load(client) as load:
        for number in (1, 2, 1, 2):
            await load.more()
            await gateways.stop(number)
            await load.more()
            await gateways.start(number)
        await load.more()


class NameServer(asyncio.DatagramProtocol):
    """DNS: whatever the name, it has these IPv4 addresses, and none of them may be remembered."""

    def __init__(self) -> None:
        self.addresses: list[str] = []

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        end = data.index(0, 12) + 5  # the name ends with a 0; after it come the type and the class
        found = self.addresses if data[end - 4 : end - 2] == b"\0\1" else []
        header = data[:2] + struct.pack("!5H", 0x8180, 1, len(found), 0, 0)
        answers = (struct.pack("!3HIH4s", 0xC00C, 1, 1, 0, 4, IPv4Address(each).packed) for each in found)
        self._transport.sendto(header + data[12:end] + b"".join(answers), addr)


async def test_two_replaced_behind_a_name_fail_no_call_and_no_picture_of_a_stream(gateways: Gateways) -> None:
    port = (await gateways.start(1)).address.rpartition(":")[2]
    await gateways.start(2, host="127.0.0.2", port=int(port))
    name_server: NameServer
    transport, name_server = await asyncio.get_running_loop().create_datagram_endpoint(
        NameServer, local_addr=("127.0.0.1", 0)
    )
    name_server.addresses = ["127.0.0.1", "127.0.0.2"]
    name = f"dns://127.0.0.1:{transport.get_extra_info('sockname')[1]}/gateways:{port}"
    async with AsyncClient(name) as client, Load(client) as load:
        for old, new in ((1, 3), (2, 4)):
            await load.more()
            await gateways.start(new, host=f"127.0.0.{new}", port=int(port))
            name_server.addresses = [*name_server.addresses[1:], f"127.0.0.{new}"]
            await gateways.stop(old)
            await load.more()
    transport.close()
