# SPDX-License-Identifier: Apache-2.0
"""The engine's adapter before a scripted Triton: readiness, errors in our words, deadlines, cancellation, recovery."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest
from fake_triton import FakeTriton, locked, never, refusing, response, serving
from imagier_server.errors import (
    DeadlineError,
    EngineUnavailableError,
    ImagierError,
    InternalError,
    ModelUnavailableError,
    OverloadedError,
)
from imagier_server.messages import Lane
from imagier_server.metrics import Metrics
from imagier_server.triton import TritonEngine

PIXELS = {"pixels": np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)}
MODELS = {role: locked(role) for role in ("tagger", "other")}


@pytest.fixture
def fake() -> FakeTriton:
    return FakeTriton(dict(MODELS), loaded={"tagger", "other"})


@pytest.fixture
async def engine(fake: FakeTriton) -> AsyncIterator[TritonEngine]:
    async with serving(fake) as port, TritonEngine(MODELS, Metrics()) as running:
        await running.connect(f"127.0.0.1:{port}")
        async with asyncio.timeout(10):
            await running.wait_ready(fake.loaded)
        yield running


async def infer(engine: TritonEngine, model: str = "tagger", seconds: float = 5.0) -> dict[str, np.ndarray]:
    return dict(await engine.infer(model, PIXELS, lane=Lane.INTERACTIVE, seconds=seconds))


async def test_tensors_go_and_come_as_raw_bytes(fake: FakeTriton, engine: TritonEngine) -> None:
    async def answer(request: object, context: object) -> object:
        return response(scores=np.float32([[0.5, 0.25]]), ids=np.int32([[7]]))

    fake.behaviours["tagger"] = answer
    outputs = await infer(engine)
    assert outputs["scores"].tolist() == [[0.5, 0.25]]
    assert outputs["ids"].tolist() == [[7]]
    (request,) = fake.requests
    assert request.raw_input_contents[0] == PIXELS["pixels"].tobytes()
    assert (request.inputs[0].name, request.inputs[0].datatype, list(request.inputs[0].shape)) == (
        "pixels",
        "UINT8",
        [1, 2, 2, 3],
    )
    assert request.parameters["priority"].uint64_param == 1
    assert 0 < request.parameters["timeout"].int64_param <= 5_000_000


@pytest.mark.parametrize(
    ("code", "text", "error"),
    [
        (grpc.StatusCode.UNAVAILABLE, "[request id: <id_unknown>] Exceeds maximum queue size", OverloadedError),
        (grpc.StatusCode.UNAVAILABLE, "Request timeout expired", DeadlineError),
        (grpc.StatusCode.UNAVAILABLE, "Server is stopping, cannot accept requests", EngineUnavailableError),
        (
            grpc.StatusCode.UNAVAILABLE,
            "Request for unknown model: 'tagger' has no available versions",
            ModelUnavailableError,
        ),
        (grpc.StatusCode.NOT_FOUND, "model not found", ModelUnavailableError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "", DeadlineError),
        (grpc.StatusCode.INTERNAL, "onnx runtime error: the words on the receipt", InternalError),
        (grpc.StatusCode.INVALID_ARGUMENT, "unexpected shape", InternalError),
    ],
)
async def test_its_errors_in_our_words(
    fake: FakeTriton, engine: TritonEngine, code: grpc.StatusCode, text: str, error: type[ImagierError]
) -> None:
    fake.behaviours["tagger"] = refusing(code, text)
    with pytest.raises(error) as raised:
        await infer(engine)
    assert "receipt" not in raised.value.text


async def test_a_missing_model_is_not_even_asked(fake: FakeTriton, engine: TritonEngine) -> None:
    fake.loaded.discard("other")
    async with asyncio.timeout(10):
        while engine.ready["other"]:  # the watcher looks once a second
            engine._changed.clear()
            await engine._changed.wait()
    with pytest.raises(ModelUnavailableError):
        await infer(engine, "other")
    await infer(engine, "tagger")
    assert [request.model_name for request in fake.requests] == ["tagger"]


async def test_another_models_labels_are_never_used(fake: FakeTriton) -> None:
    fake.models["tagger"] = locked("tagger", "e" * 64)
    async with serving(fake) as port, TritonEngine(MODELS, Metrics()) as engine:
        await engine.connect(f"127.0.0.1:{port}")
        async with asyncio.timeout(10):
            await engine.wait_ready(["other"])
        assert not engine.ready["tagger"]
        with pytest.raises(ModelUnavailableError):
            await infer(engine, "tagger")


async def test_our_deadline(fake: FakeTriton, engine: TritonEngine) -> None:
    fake.behaviours["tagger"] = never
    with pytest.raises(DeadlineError):
        await infer(engine, seconds=0.1)


async def test_cancelling_reaches_triton(fake: FakeTriton, engine: TritonEngine) -> None:
    arrived, ended = asyncio.Event(), asyncio.Event()

    async def wait(request: object, context: object) -> None:
        arrived.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    fake.behaviours["tagger"] = wait
    running = asyncio.create_task(infer(engine))
    async with asyncio.timeout(10):
        await arrived.wait()
        running.cancel()
        await ended.wait()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert fake.cancelled == 1


async def test_stopped_then_back(fake: FakeTriton) -> None:
    async with serving(fake) as port:
        engine = TritonEngine(MODELS, Metrics())
        await engine.__aenter__()
        await engine.connect(f"127.0.0.1:{port}")
        async with asyncio.timeout(10):
            await engine.wait_ready(fake.loaded)
        await infer(engine)
    try:
        with pytest.raises(EngineUnavailableError) as raised:
            await infer(engine)
        assert raised.value.retry_after
        async with asyncio.timeout(10):
            while any(engine.ready.values()):
                engine._changed.clear()
                await engine._changed.wait()
        with pytest.raises(EngineUnavailableError):
            await infer(engine)
        async with serving(fake, port):
            async with asyncio.timeout(20):
                await engine.wait_ready(fake.loaded)
            await infer(engine)
    finally:
        await engine.__aexit__()
