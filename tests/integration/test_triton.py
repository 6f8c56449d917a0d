# SPDX-License-Identifier: Apache-2.0
"""The engine's adapter before a scripted Triton: readiness, errors in our words, deadlines, cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest
from imagier_server import request_ids, triton
from imagier_server.errors import (
    DeadlineError,
    EngineUnavailableError,
    ImagierError,
    InternalError,
    ModelFailedError,
    ModelUnavailableError,
    OutOfStepError,
    OverloadedError,
)
from imagier_server.metrics import Metrics
from imagier_server.triton import TritonEngine
from support.calls import call
from support.fake_triton import FakeTriton, locked, never, refusing, response, serving
from tritonclient.grpc import service_pb2

PIXELS = {"pixels": np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)}
MODELS = {role: locked(role) for role in ("tagger", "other")}


@pytest.fixture
def fake() -> FakeTriton:
    return FakeTriton(dict(MODELS), loaded={"tagger", "other"})


@pytest.fixture
async def engine(fake: FakeTriton) -> AsyncIterator[TritonEngine]:
    async with serving(fake) as port:
        running = TritonEngine(f"127.0.0.1:{port}", MODELS, Metrics())
        yield running
        await running.close()


async def infer(engine: TritonEngine, model: str = "tagger", seconds: float = 5.0) -> dict[str, np.ndarray]:
    return dict(await engine.infer(model, PIXELS, call(seconds=seconds)))


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
    ("differences", "sound"),
    [([0], True), ([0, 0], True), ([1], False), ([0, 1], False), ([], False), (None, False)],
    ids=["its own", "of each row", "another's", "two", "no number", "none"],
)
async def test_an_embedded_tritons_answer_is_the_one_to_its_request(
    fake: FakeTriton, differences: list[int] | None, sound: bool
) -> None:
    async def answer(request: service_pb2.ModelInferRequest, context: object) -> service_pb2.ModelInferResponse:
        made = response(scores=np.float32([[0.5]]))
        if differences is not None:
            ids = np.array([int(request.id) ^ each for each in differences], np.uint64)
            made.outputs.add(name=request_ids.OUTPUT, datatype="UINT64", shape=[len(ids), 1])
            made.raw_output_contents.append(ids.tobytes())
        return made

    fake.behaviours["tagger"] = answer
    metrics = Metrics()
    async with serving(fake) as port:
        embedded = TritonEngine(f"127.0.0.1:{port}", MODELS, metrics, returns_ids=True)
        if sound:
            assert list(await infer(embedded)) == ["scores"]
        else:
            with pytest.raises(OutOfStepError):
                await infer(embedded)
        await embedded.close()
    code = "ok" if sound else "unavailable"
    assert metrics.registry.get_sample_value("imagier_engine_requests_total", {"model": "tagger", "code": code}) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
async def test_a_model_that_computes_no_numbers_is_not_one_that_sees_nothing(
    fake: FakeTriton, engine: TritonEngine, value: float
) -> None:
    async def answer(request: object, context: object) -> object:
        return response(ids=np.int32([[7]]), scores=np.float32([[0.5, value]]))

    fake.behaviours["tagger"] = answer
    with pytest.raises(InternalError):
        await infer(engine)


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
        (grpc.StatusCode.INTERNAL, "Stub process 'tagger_0_0' is not healthy.", ModelFailedError),
        (grpc.StatusCode.INTERNAL, "CUDNN failure 4: CUDNN_STATUS_INTERNAL_ERROR ; GPU=0", ModelFailedError),
        (grpc.StatusCode.INTERNAL, "Failed to allocate memory for requested buffer of size 9", ModelFailedError),
    ],
)
async def test_its_errors_in_our_words(
    fake: FakeTriton, engine: TritonEngine, code: grpc.StatusCode, text: str, error: type[ImagierError]
) -> None:
    fake.behaviours["tagger"] = refusing(code, text)
    with pytest.raises(error) as raised:
        await infer(engine)
    assert "receipt" not in raised.value.text


async def test_a_missing_model_is_not_ready(fake: FakeTriton, engine: TritonEngine) -> None:
    assert await engine.check() == {"tagger": True, "other": True}
    fake.loaded.discard("other")
    assert await engine.check() == {"tagger": True, "other": False}


async def test_another_models_labels_are_never_used(fake: FakeTriton, engine: TritonEngine) -> None:
    fake.models["tagger"] = locked("tagger", "e" * 64)
    assert await engine.check() == {"tagger": False, "other": True}


async def test_one_that_does_not_say_whether_it_is_ready(
    fake: FakeTriton, engine: TritonEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triton, "_CHECK_SECONDS", 0.1)
    fake.silent = True
    with pytest.raises(TimeoutError):
        await engine.check()


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


async def test_closing_the_connection_ends_what_is_under_way(fake: FakeTriton) -> None:
    arrived = asyncio.Event()

    async def wait(request: object, context: object) -> None:
        arrived.set()
        await asyncio.Event().wait()

    fake.behaviours["tagger"] = wait
    async with serving(fake) as port:
        engine = TritonEngine(f"127.0.0.1:{port}", MODELS, Metrics())
        running = asyncio.create_task(infer(engine))
        async with asyncio.timeout(10):
            await arrived.wait()
            await engine.close()
            with pytest.raises(EngineUnavailableError):
                await running


async def test_nobody_there(unused_tcp_port: int) -> None:
    engine = TritonEngine(f"127.0.0.1:{unused_tcp_port}", MODELS, Metrics())
    try:
        assert await engine.check() == {"tagger": False, "other": False}
        with pytest.raises(EngineUnavailableError) as raised:
            await infer(engine)
        assert raised.value.retry_after
    finally:
        await engine.close()
