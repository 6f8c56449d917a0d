# SPDX-License-Identifier: Apache-2.0
"""Several scripted Tritons over real gRPC, each failing in its own way: what callers see, who is used, who comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import grpc
import numpy as np
import pytest
from fake_triton import FakeTriton, locked, never, refusing, response, serving
from imagier.v1 import annotator_pb2, tags_pb2
from imagier_server import triton
from imagier_server.engines import pool
from imagier_server.engines.addresses import Resolver, Target, following
from imagier_server.engines.budget import RetryBudget
from imagier_server.engines.pool import Engines
from imagier_server.errors import DeadlineError, EngineUnavailableError, InternalError, OverloadedError
from imagier_server.messages import Lane
from imagier_server.metrics import Metrics
from imagier_server.triton import TritonEngine
from running_gateway import Gateway, gateway, picture
from tritonclient.grpc import service_pb2

MODELS = {"tagger": locked("tagger")}
PIXELS = {"pixels": np.zeros((1, 2, 2, 3), np.uint8)}


class Cluster:
    """Scripted Tritons that all listen on one port, each at an address of its own (127.0.0.N), and the engines before them."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.fakes: dict[int, FakeTriton] = {}
        self.metrics = Metrics()
        self._servers: dict[int, AsyncExitStack] = {}
        self.engines = Engines(MODELS, self._connect, RetryBudget(20, 100), self.metrics)

    def _connect(self, address: str) -> TritonEngine:
        return TritonEngine(address, MODELS, self.metrics)

    async def start(self, *numbers: int) -> None:
        for number in numbers:
            fake = self.fakes.setdefault(number, FakeTriton(dict(MODELS), {"tagger"}))
            self._servers[number] = AsyncExitStack()
            await self._servers[number].enter_async_context(serving(fake, self.port, f"127.0.0.{number}"))

    async def stop(self, number: int) -> None:
        await self._servers.pop(number).aclose()

    def use(self, *numbers: int) -> None:
        self.engines.use([f"127.0.0.{number}:{self.port}" for number in numbers])

    async def up(self, count: int) -> None:
        async with asyncio.timeout(20):
            while self.value("engines_up") != count:
                self.engines._changed.clear()
                await self.engines._changed.wait()

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"imagier_{name}", labels) or 0.0

    def series(self, number: int) -> list[str]:
        """The names of the series that Triton has of its own."""
        address = f"127.0.0.{number}:{self.port}"
        families = self.metrics.registry.collect()
        return [each.name for family in families for each in family.samples if each.labels.get("engine") == address]

    async def infer(self, seconds: float = 10.0) -> None:
        await self.engines.infer("tagger", PIXELS, lane=Lane.INTERACTIVE, seconds=seconds)

    async def load(self, requests: int) -> None:
        """That many at once; the first failure is the caller's."""
        await asyncio.gather(*(self.infer() for _ in range(requests)))

    @property
    def taken(self) -> dict[int, int]:
        return {number: len(fake.requests) for number, fake in self.fakes.items()}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.engines.__aexit__()
        for number in tuple(self._servers):
            await self.stop(number)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(pool, "_FIRST_EJECTION_SECONDS", 0.05)
    monkeypatch.setattr(triton, "_PROBE_SECONDS", 0.5)


@pytest.fixture
async def cluster(unused_tcp_port: int) -> AsyncIterator[Cluster]:
    async with Cluster(unused_tcp_port) as made:
        yield made


@asynccontextmanager
async def under_load(cluster: Cluster, workers: int = 8) -> AsyncIterator[None]:
    """Requests without a pause, for the time of the `async with`; the first that fails ends the test."""
    over = False

    async def work() -> None:
        while not over:
            await cluster.infer()

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
        yield
        over = True


async def some(cluster: Cluster, requests: int = 30) -> None:
    """Returns when that many more have arrived."""
    target = sum(cluster.taken.values()) + requests
    async with asyncio.timeout(20):
        while sum(cluster.taken.values()) < target:  # noqa: ASYNC110 - the fakes count, they do not tell
            await asyncio.sleep(0)


def holding(arrived: asyncio.Semaphore, release: asyncio.Event) -> Any:
    async def behaviour(request: Any, context: Any) -> Any:
        arrived.release()
        await release.wait()
        return response(scores=np.full((1, 1000), 0.001, np.float32))

    return behaviour


async def test_the_load_is_shared(cluster: Cluster) -> None:
    await cluster.start(1, 2, 3)
    cluster.use(1, 2, 3)
    await cluster.up(3)
    await cluster.load(30)
    assert cluster.taken == {1: 10, 2: 10, 3: 10}


async def test_a_slow_one_is_given_less(cluster: Cluster) -> None:
    await cluster.start(1, 2)
    cluster.use(1, 2)
    await cluster.up(2)
    arrived, release = asyncio.Semaphore(0), asyncio.Event()
    cluster.fakes[1].behaviours["tagger"] = holding(arrived, release)
    waiting = [asyncio.create_task(cluster.infer()) for _ in range(4)]
    await arrived.acquire()
    await arrived.acquire()
    for _ in range(20):
        await cluster.infer()
    assert cluster.taken == {1: 2, 2: 22}
    release.set()
    await asyncio.gather(*waiting)


async def test_one_dies_with_requests_on_it(cluster: Cluster) -> None:
    await cluster.start(1, 2)
    cluster.use(1, 2)
    await cluster.up(2)
    arrived, release = asyncio.Semaphore(0), asyncio.Event()
    cluster.fakes[1].behaviours["tagger"] = holding(arrived, release)
    waiting = [asyncio.create_task(cluster.infer()) for _ in range(10)]
    for _ in range(5):
        await arrived.acquire()
    await cluster.stop(1)
    await asyncio.gather(*waiting)
    assert cluster.taken == {1: 5, 2: 10}
    assert cluster.value("engine_retries_total", outcome="sent") == 5
    assert cluster.value("engine_ejections_total") == 1


async def test_dying_and_coming_back_under_load_fails_nothing(cluster: Cluster) -> None:
    await cluster.start(1, 2)
    cluster.use(1, 2)
    await cluster.up(2)
    async with under_load(cluster):
        await some(cluster)
        await cluster.stop(1)
        await cluster.up(1)
        await some(cluster)
        before = cluster.taken[1]
        await cluster.start(1)
        await cluster.up(2)
        await some(cluster)
        assert cluster.taken[1] > before


@pytest.mark.parametrize(
    "fault",
    [
        (grpc.StatusCode.UNAVAILABLE, "Server is stopping, cannot accept requests"),
        (grpc.StatusCode.UNAVAILABLE, "Request for unknown model: 'tagger' is not at ready state"),
        (grpc.StatusCode.CANCELLED, ""),
        (grpc.StatusCode.NOT_FOUND, "no such model"),
    ],
)
async def test_one_refuses_what_it_says_it_is_ready_for(cluster: Cluster, fault: tuple[grpc.StatusCode, str]) -> None:
    await cluster.start(1, 2)
    cluster.use(1, 2)
    await cluster.up(2)
    cluster.fakes[1].behaviours["tagger"] = refusing(*fault)
    await cluster.load(20)
    assert cluster.taken[2] == 20


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size", OverloadedError),
        (grpc.StatusCode.UNAVAILABLE, "Request timeout expired", DeadlineError),
        (grpc.StatusCode.INTERNAL, "onnx runtime error", InternalError),
    ],
)
async def test_what_is_not_tried_elsewhere(
    cluster: Cluster, status: grpc.StatusCode, text: str, error: type[Exception]
) -> None:
    await cluster.start(1, 2)
    cluster.use(1, 2)
    await cluster.up(2)
    for fake in cluster.fakes.values():
        fake.behaviours["tagger"] = refusing(status, text)
    with pytest.raises(error):
        await cluster.infer()
    assert sum(cluster.taken.values()) == 1


async def test_one_with_other_weights_is_not_used(cluster: Cluster) -> None:
    await cluster.start(1, 2)
    cluster.fakes[1].models["tagger"] = locked("tagger", "e" * 64)
    cluster.use(1, 2)
    await cluster.up(1)
    await cluster.load(10)
    assert cluster.taken == {1: 0, 2: 10}
    cluster.fakes[1].models["tagger"] = MODELS["tagger"]
    await cluster.up(2)


async def test_one_that_hangs_loses_what_it_holds(cluster: Cluster) -> None:
    await cluster.start(1, 2)
    cluster.use(1, 2)
    await cluster.up(2)
    cluster.fakes[1].behaviours["tagger"] = never
    waiting = [asyncio.create_task(cluster.infer(seconds=60)) for _ in range(4)]
    await some(cluster, 4)
    cluster.fakes[1].silent = True
    async with asyncio.timeout(20):
        await asyncio.gather(*waiting)
    assert cluster.taken[2] == 4
    cluster.fakes[1].silent = False
    cluster.fakes[1].behaviours.clear()
    await cluster.up(2)


async def test_none_is_there(cluster: Cluster) -> None:
    cluster.use(1, 2)
    with pytest.raises(EngineUnavailableError) as raised:
        await cluster.infer()
    assert raised.value.retry_after


async def test_all_die(cluster: Cluster) -> None:
    await cluster.start(1, 2)
    cluster.use(1, 2)
    await cluster.up(2)
    await cluster.stop(1)
    await cluster.stop(2)
    with pytest.raises(EngineUnavailableError):
        await cluster.infer()
    await cluster.up(0)
    await cluster.start(1, 2)
    await cluster.up(2)
    await cluster.infer()


async def test_replicas_come_and_go_behind_a_name_under_load(cluster: Cluster) -> None:
    hosts = ["127.0.0.1"]

    async def names(host: str) -> list[str]:
        assert host == "triton"
        return list(hosts)

    await cluster.start(1, 2, 3)
    resolver = Resolver([Target("triton", cluster.port)], names)
    async with following(resolver, cluster.engines.use, seconds=0.05, again=cluster.engines.troubled):
        await cluster.up(1)
        async with under_load(cluster):
            await some(cluster)
            hosts += ["127.0.0.2", "127.0.0.3"]
            await cluster.up(3)
            await some(cluster)
            assert min(cluster.taken.values()) > 0
            hosts.remove("127.0.0.1")
            await cluster.up(2)
            await cluster.stop(1)  # as the pod does once nobody is sent to it
            before = cluster.taken[1]
            await some(cluster)
            assert cluster.taken[1] == before
            hosts.remove("127.0.0.2")
            await cluster.up(1)
    assert cluster.taken[3] > 0


async def test_all_replaced_at_once_under_load(cluster: Cluster) -> None:
    hosts = ["127.0.0.1"]

    async def names(host: str) -> list[str]:
        return list(hosts)

    await cluster.start(1, 2)
    resolver = Resolver([Target("triton", cluster.port)], names)
    async with following(resolver, cluster.engines.use, seconds=0.05, again=cluster.engines.troubled):
        await cluster.up(1)
        async with under_load(cluster):
            for number in (2, 1, 2):
                before = cluster.taken[number]
                hosts[:] = [f"127.0.0.{number}"]
                async with asyncio.timeout(20):
                    while cluster.taken[number] == before or cluster.series(3 - number):  # noqa: ASYNC110
                        await asyncio.sleep(0)
                assert cluster.value("engines") == 1


async def test_one_that_fails_at_once_is_not_given_most(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_FIRST_EJECTION_SECONDS", 3600.0)
    monkeypatch.setattr(pool, "_MAX_EJECTION_SECONDS", 3600.0)
    await cluster.start(1, 2)
    cluster.use(1, 2)
    await cluster.up(2)
    await cluster.load(2)
    cluster.fakes[1].behaviours["tagger"] = refusing(grpc.StatusCode.INTERNAL, "CUDA failure 700")
    errors = 0
    while errors < 5:
        try:
            await cluster.infer()
        except InternalError:
            errors += 1
    before = cluster.taken[1]
    assert cluster.value("engine_ready", engine=f"127.0.0.1:{cluster.port}") == 0
    await cluster.load(20)
    assert cluster.taken[1] == before


async def test_one_whose_answer_to_a_look_is_garbage(cluster: Cluster) -> None:
    await cluster.start(1, 2)
    cluster.use(1, 2)
    await cluster.up(2)
    engine = cluster.engines._members[f"127.0.0.1:{cluster.port}"].engine
    sound = engine._stub.ModelConfig
    engine._stub.ModelConfig = engine._channel.unary_unary(
        "/inference.GRPCInferenceService/ModelConfig",
        service_pb2.ModelConfigRequest.SerializeToString,
        lambda answer: service_pb2.ModelConfigResponse.FromString(b"\x0a\x7f"),
    )
    await cluster.up(1)
    await cluster.load(10)
    assert cluster.taken == {1: 0, 2: 10}
    engine._stub.ModelConfig = sound
    await cluster.up(2)
    await cluster.load(10)
    assert cluster.taken[1] > 0


async def test_no_series_are_left_of_one_that_came_and_went_with_a_request_under_way(cluster: Cluster) -> None:
    await cluster.start(1, 2)
    cluster.use(1, 2)
    await cluster.up(2)
    arrived, release = asyncio.Semaphore(0), asyncio.Event()
    cluster.fakes[1].behaviours["tagger"] = holding(arrived, release)
    waiting = [asyncio.create_task(cluster.infer()) for _ in range(2)]
    await arrived.acquire()
    cluster.use(2)
    cluster.use(1, 2)
    await cluster.up(2)
    cluster.use(2)
    async with asyncio.timeout(20):
        while len(cluster.engines._lives) > 2:  # noqa: ASYNC110 - the end of a connection has no event
            await asyncio.sleep(0)
        assert cluster.series(1)
        release.set()
        await asyncio.gather(*waiting)
        while cluster.series(1):  # noqa: ASYNC110
            await asyncio.sleep(0)


@pytest.fixture
async def other(fake: FakeTriton) -> AsyncIterator[tuple[FakeTriton, int]]:
    made = FakeTriton(fake.models, set(fake.loaded), dict(fake.behaviours))
    async with serving(made) as port:
        yield made, port


async def test_a_gateway_before_two(
    repository: Path, fake: FakeTriton, other: tuple[FakeTriton, int], unused_tcp_port: int
) -> None:
    second, port = other
    request = annotator_pb2.AnnotateRequest(image=picture(), tags=tags_pb2.TagsOptions())

    async def annotate(running: Gateway) -> None:
        assert (await running.stub.Annotate(request)).tags.tags

    async with AsyncExitStack() as first:
        engines = f"127.0.0.1:{await first.enter_async_context(serving(fake))},dns:///localhost:{port}"
        async with gateway(repository, 0, unused_tcp_port, engine=engines) as running:
            await running.until(ready=True)
            while await running.metric("imagier_engines_up") < 2:
                pass
            for _ in range(4):
                await annotate(running)
            assert (len(fake.requests), len(second.requests)) == (2, 2)
            await first.aclose()
            for _ in range(4):
                await annotate(running)
            assert await running.ready()
            assert await running.metric('imagier_engine_requests_total{code="ok",model="tagger"}') == 8
