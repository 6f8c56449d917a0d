# SPDX-License-Identifier: Apache-2.0
"""The whole gateway over real gRPC, with real decoders, before a scripted Triton."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from imagier.v1 import annotator_pb2, caption_pb2, catalog_pb2, ocr_pb2, tags_pb2
from imagier_server import app
from imagier_server.model_lock import LOCK_NAME, write_lock_text
from support.fake_triton import FakeTriton, locked, never, refusing, serving
from support.running_gateway import Gateway, details, gateway, picture, status_of, tags_and_text


async def test_a_picture_in_tags_and_text_out(running: Gateway) -> None:
    answer = await running.stub.Annotate(tags_and_text(picture(), "seven"))
    assert (answer.request_id, answer.width, answer.height) == ("seven", 640, 480)
    assert [tag.names["en"] for tag in answer.tags.tags][:1] == ["cat"]
    assert answer.tags.tags[0].origin == tags_pb2.ORIGIN_MACHINE
    assert answer.ocr.status.code == 0
    assert not answer.ocr.lines
    assert answer.cost == 2
    assert {stage.task for stage in answer.timings.stages} == {"", "tags", "ocr"}
    assert sum(1 for stage in answer.timings.stages if not stage.task) == 1, "one decode for both"


async def test_only_what_was_asked_for(running: Gateway, fake: FakeTriton) -> None:
    answer = await running.stub.Annotate(annotator_pb2.AnnotateRequest(image=picture(), tags=tags_pb2.TagsOptions()))
    assert not answer.HasField("ocr")
    assert {request.model_name for request in fake.requests} == {"tagger"}


@pytest.mark.parametrize(
    ("image", "reason"),
    [(b"", "INVALID_IMAGE"), (b"<svg/>", "INVALID_IMAGE"), (picture()[:200], "INVALID_IMAGE")],
)
async def test_a_bad_picture_is_a_permanent_fault_that_names_the_field(
    running: Gateway, image: bytes, reason: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await running.stub.Annotate(tags_and_text(image))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    found = details(status_of(raised.value))
    assert found["ErrorInfo"].reason == reason
    assert found["BadRequest"].field_violations[0].field == "image"
    assert "RetryInfo" not in found
    assert dict(raised.value.trailing_metadata())["grpc-retry-pushback-ms"] == "-1"


async def test_no_task_is_a_fault_of_the_call(running: Gateway) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await running.stub.Annotate(annotator_pb2.AnnotateRequest(image=picture()))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_too_large_for_us_speaks_before_too_large_for_grpc(
    repository: Path, fake: FakeTriton, unused_tcp_port: int
) -> None:
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port, max_image_bytes=2048) as small:
        await small.until(ready=True)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await small.stub.Annotate(tags_and_text(b"\xff\xd8\xff" + bytes(3000)))
        assert details(status_of(raised.value))["ErrorInfo"].reason == "IMAGE_TOO_LARGE"
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await small.stub.Annotate(tags_and_text(bytes(2048 + (2 << 20))))
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, "gRPC's own cap, two mebibytes larger"


async def test_a_full_queue_fails_that_task_with_a_retry_hint(running: Gateway, fake: FakeTriton) -> None:
    fake.behaviours["tagger"] = refusing(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
    answer = await running.stub.Annotate(tags_and_text(picture()))
    assert answer.tags.status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    assert details(answer.tags.status)["RetryInfo"].retry_delay.ToMilliseconds() > 0
    assert (answer.ocr.status.code, answer.ocr.cost, answer.tags.cost, answer.cost) == (0, 1, 0, 1)


async def test_one_model_missing_fails_its_task_only_and_readiness_says_so(running: Gateway, fake: FakeTriton) -> None:
    fake.loaded.discard("text_recognizer")
    fake.loaded.discard("text_detector")
    await running.until(ready=False)
    assert await running.ready("liveness")
    answer = await running.stub.Annotate(tags_and_text(picture()))
    assert answer.tags.status.code == 0
    assert answer.ocr.status.code == grpc.StatusCode.UNAVAILABLE.value[0]
    catalog = await running.stub.GetCatalog(catalog_pb2.GetCatalogRequest())
    assert [task.name for task in catalog.tasks if not task.ready] == ["ocr"]
    fake.loaded.update(fake.models)
    await running.until(ready=True)


async def test_refused_at_the_door_when_full(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> None:
    tag, fake.behaviours["tagger"] = fake.behaviours["tagger"], never
    request = annotator_pb2.AnnotateRequest(image=picture(), tags=tags_pb2.TagsOptions())
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port, in_flight=1) as narrow:
        await narrow.until(ready=True)
        first = asyncio.create_task(_as_task(narrow.stub.Annotate(request)))
        async with asyncio.timeout(10):
            while not fake.requests:
                await narrow.ready()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await narrow.stub.Annotate(request)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert details(status_of(raised.value))["RetryInfo"].retry_delay.ToMilliseconds() > 0
        assert int(dict(raised.value.trailing_metadata())["grpc-retry-pushback-ms"]) > 0
        assert await narrow.ready(), "probes bypass the door"
        first.cancel()
        await asyncio.wait([first])
        fake.behaviours["tagger"] = tag
        async with asyncio.timeout(10):
            while await narrow.metric("imagier_in_flight_pictures"):
                pass
        assert (await narrow.stub.Annotate(request)).tags.tags


async def _as_task(call: Any) -> Any:
    return await call


async def test_the_caller_gone_nothing_runs_on_for_it(running: Gateway, fake: FakeTriton) -> None:
    gone = asyncio.Event()

    async def wait(request: Any, context: Any) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()

    fake.behaviours["tagger"] = wait
    call = running.stub.Annotate(annotator_pb2.AnnotateRequest(image=picture(), tags=tags_pb2.TagsOptions()))
    async with asyncio.timeout(10):
        while not fake.requests:
            await running.ready()
        call.cancel()
        await gone.wait()
        while await running.metric('imagier_requests_total{code="cancelled",lane="interactive",transport="grpc"}') < 1:
            pass
    assert await running.metric("imagier_in_flight_pictures") == 0


async def test_a_deadline(running: Gateway, fake: FakeTriton) -> None:
    fake.behaviours["tagger"] = never
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await running.stub.Annotate(
            annotator_pb2.AnnotateRequest(image=picture(), tags=tags_pb2.TagsOptions()), timeout=0.3
        )
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert await running.metric('imagier_requests_total{code="deadline",lane="interactive",transport="grpc"}') == 1
    annotation = await running.stub.Annotate(tags_and_text(picture()), timeout=2)
    assert annotation.tags.status.code == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
    assert annotation.ocr.status.code == 0


async def test_a_stream_that_breaks_off_is_no_error_of_ours(running: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    async def requests() -> AsyncIterator[annotator_pb2.AnnotateStreamRequest]:
        for number in range(20):
            request = annotator_pb2.AnnotateRequest(
                image=picture(), request_id=str(number), tags=tags_pb2.TagsOptions()
            )
            yield annotator_pb2.AnnotateStreamRequest(request=request)

    for _ in range(30):
        call = running.stub.AnnotateStream(requests())
        await anext(aiter(call))
        call.cancel()
    async with asyncio.timeout(20):
        while await running.metric("imagier_in_flight_pictures"):
            pass
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_stream_of_many_every_tenth_broken(running: Gateway) -> None:
    async def requests() -> AsyncIterator[annotator_pb2.AnnotateStreamRequest]:
        for number in range(200):
            image = b"broken" if number % 10 == 0 else picture("PNG", (64, 64))
            request = annotator_pb2.AnnotateRequest(image=image, request_id=str(number), tags=tags_pb2.TagsOptions())
            yield annotator_pb2.AnnotateStreamRequest(request=request)

    outcomes = {answer.request_id: answer async for answer in running.stub.AnnotateStream(requests())}
    assert len(outcomes) == 200
    failed = {int(name) for name, answer in outcomes.items() if answer.WhichOneof("outcome") == "error"}
    assert failed == set(range(0, 200, 10))
    assert details(outcomes["0"].error)["ErrorInfo"].reason == "INVALID_IMAGE"
    assert outcomes["1"].response.tags.tags


async def test_the_engine_stops_and_comes_back(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> None:
    async with serving(fake) as port:
        context = gateway(repository, port, unused_tcp_port)
        running = await context.__aenter__()
        await running.until(ready=True)
    try:
        await running.until(ready=False)
        answer = await running.stub.Annotate(tags_and_text(picture()))
        assert answer.tags.status.code == grpc.StatusCode.UNAVAILABLE.value[0]
        assert details(answer.tags.status)["ErrorInfo"].reason == "ENGINE_UNAVAILABLE"
        assert "RetryInfo" in details(answer.tags.status)
        async with serving(fake, port):
            await running.until(ready=True)
            assert (await running.stub.Annotate(tags_and_text(picture()))).tags.tags
    finally:
        await context.__aexit__(None, None, None)


async def test_the_catalogue_names_everything(running: Gateway, fake: FakeTriton) -> None:
    catalog = await running.stub.GetCatalog(catalog_pb2.GetCatalogRequest())
    assert [task.name for task in catalog.tasks] == ["tags", "ocr", "caption", "embedding", "fingerprint"]
    assert {model.name for model in catalog.models} == set(fake.models)
    assert all(model.ready and model.license and model.source and len(model.digest) == 64 for model in catalog.models)
    options = {option.name for option in catalog.tasks[0].options}
    assert options == {field.name for field in tags_pb2.TagsOptions.DESCRIPTOR.fields}
    assert {option.name for option in catalog.tasks[1].options} == {
        field.name for field in ocr_pb2.OcrOptions.DESCRIPTOR.fields
    }
    assert {option.name for option in catalog.tasks[2].options} == {
        field.name for field in caption_pb2.CaptionOptions.DESCRIPTOR.fields
    }
    assert catalog.limits.image_bytes > 0
    assert "image/jpeg" in catalog.formats


async def test_reflection_lists_the_service(running: Gateway) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(running.channel)
    requests = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    async for answer in stub.ServerReflectionInfo(requests):
        assert "imagier.v1.AnnotatorService" in {service.name for service in answer.list_services_response.service}


@pytest.fixture
def incomplete(repository: Path) -> Path:
    only = {"tagger": replace(locked("tagger"), version="1")}
    (repository / LOCK_NAME).write_text(write_lock_text(only), encoding="utf-8")
    return repository


async def test_an_incomplete_repository_says_what_to_do(incomplete: Path, unused_tcp_port: int) -> None:
    with pytest.raises(ValueError, match="imagier models install"):
        async with gateway(incomplete, 1, unused_tcp_port):
            pass


async def test_the_operators_prices_are_quoted_and_charged(
    repository: Path, fake: FakeTriton, unused_tcp_port: int, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text("ocr = 5")
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port, prices=prices) as running:
        await running.until(ready=True)
        catalog = await running.stub.GetCatalog(catalog_pb2.GetCatalogRequest())
        assert {task.name: task.price for task in catalog.tasks if task.price != 1} == {"ocr": 5}
        answer = await running.stub.Annotate(tags_and_text(picture()))
    assert (answer.tags.cost, answer.ocr.cost, answer.cost) == (1, 5, 6)


async def test_a_caller_who_asks_is_told_what_the_call_took(running: Gateway) -> None:
    async def trailer(*metadata: tuple[str, str]) -> str | None:
        call = running.stub.Annotate(tags_and_text(picture(size=(3000, 2000))), metadata=metadata)
        await call
        return dict(await call.trailing_metadata()).get("imagier-usage")

    assert await trailer() is None
    told = await trailer(("imagier-usage", "1"))
    assert told is not None
    seconds = {name: float(value) for name, _, value in (part.partition("=") for part in told.split(", "))}
    assert seconds.keys() == {"decode", "ocr", "tags"}
    assert seconds["decode"] > 0
    counted = await running.metric('imagier_cpu_seconds_total{stage="decode",task=""}')
    assert counted >= seconds["decode"]


async def test_an_unforeseen_exception_is_internal_and_its_text_stays_with_us(
    repository: Path, fake: FakeTriton, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the words on the receipt")

    monkeypatch.setattr(app, "catalogue", broken)
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port) as running:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await running.stub.GetCatalog(catalog_pb2.GetCatalogRequest())
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert raised.value.details() == "internal error"
    assert details(status_of(raised.value))["ErrorInfo"].reason == "INTERNAL"
