# SPDX-License-Identifier: Apache-2.0
"""Several scripted Tritons over real gRPC, each failing in its own way: what callers see, who is used, who comes back."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from imagier.v1 import annotator_pb2, tags_pb2
from imagier_server.engines import outlier_detection
from imagier_server.errors import DeadlineError, InternalError, OverloadedError
from support.cluster import MODELS, Cluster, holding, some
from support.fake_triton import FakeTriton, locked, never, refusing, response, serving
from support.running_gateway import Gateway, gateway, picture
from tritonclient.grpc import service_pb2


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


async def test_one_that_fails_at_once_is_not_given_most(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlier_detection, "FIRST_EJECTION_SECONDS", 3600.0)
    monkeypatch.setattr(outlier_detection, "MAX_EJECTION_SECONDS", 3600.0)
    await cluster.start(1, 2)
    cluster.use(1, 2)
    await cluster.up(2)
    await cluster.load(2)
    cluster.fakes[1].behaviours["tagger"] = refusing(grpc.StatusCode.INTERNAL, "onnx runtime error 6")
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


@pytest.mark.parametrize(
    "words",
    [
        "Stub process 'tagger_0_1' is not healthy.",
        "onnx runtime error 1: CUDA failure 700: an illegal memory access was encountered",
        "onnx runtime error 6: Failed to allocate memory for requested buffer of size 1048576",
    ],
)
async def test_one_that_says_itself_that_it_fails_is_left_at_once(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setattr(outlier_detection, "FIRST_EJECTION_SECONDS", 3600.0)
    monkeypatch.setattr(outlier_detection, "MAX_EJECTION_SECONDS", 3600.0)
    await cluster.start(1, 2)
    cluster.use(1, 2)
    await cluster.up(2)
    cluster.fakes[1].behaviours["tagger"] = refusing(grpc.StatusCode.INTERNAL, words)
    for _ in range(20):
        await cluster.infer()
    assert cluster.taken == {1: 1, 2: 20}
    assert cluster.value("engine_ready", engine=f"127.0.0.1:{cluster.port}") == 0
    assert cluster.value("model_ready", model="tagger") == 1


async def test_half_of_the_instances_of_the_only_one_are_dead(cluster: Cluster) -> None:
    await cluster.start(1)
    cluster.use(1)
    await cluster.up(1)
    sound = asyncio.Event()
    turns = itertools.count()

    async def every_other(request: Any, context: Any) -> Any:
        if next(turns) % 2 == 0 and not sound.is_set():
            await context.abort(grpc.StatusCode.INTERNAL, "Stub process 'tagger_0_1' is not healthy.")
        return response(scores=np.full((1, 1000), 0.001, np.float32))

    cluster.fakes[1].behaviours["tagger"] = every_other
    for _ in range(20):
        await cluster.infer()
        assert cluster.value("model_ready", model="tagger") == 0
    sound.set()
    for _ in range(10):
        await cluster.infer()
    assert cluster.value("model_ready", model="tagger") == 1


async def test_one_whose_answer_to_a_health_check_is_garbage(cluster: Cluster) -> None:
    await cluster.start(1, 2)
    cluster.use(1, 2)
    await cluster.up(2)
    engine = cluster.engines._endpoints[f"127.0.0.1:{cluster.port}"].engine
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
