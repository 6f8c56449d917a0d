# SPDX-License-Identifier: Apache-2.0
"""What arrives and is no request yet: uploads that never end, floods of words, bytes that mean nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, keywords_pb2, tags_pb2
from support.fake_triton import FakeTriton, serving
from support.raw_http2 import connected
from support.running_gateway import Gateway, details, gateway, picture, status_of, tags_and_text
from support.served_gateway import Served, served

MIB = 1 << 20
MOST = 600 * MIB
"""The whole gateway, whatever comes."""
SERVICE = "/imagier.v1.AnnotatorService"
METHODS = (
    f"{SERVICE}/Annotate",
    f"{SERVICE}/AnnotateStream",
    f"{SERVICE}/MatchKeywords",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)


@pytest.fixture
async def process(repository: Path, fake: FakeTriton, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(fake) as port, served(repository, port, tmp_path / "log") as process:
        yield process


async def until_small_again(process: Served, before: int) -> None:
    async with asyncio.timeout(60):
        async with grpc.aio.insecure_channel(process.address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            while process.memory() > before + 64 * MIB:
                await stub.Check(health_pb2.HealthCheckRequest(service="liveness"))


async def healthy(process: Served, over: asyncio.Event) -> int:
    """Asks until it is over; how often it was answered."""
    asked = 0
    async with grpc.aio.insecure_channel(process.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while not over.is_set():
            await stub.Check(health_pb2.HealthCheckRequest(service="liveness"), timeout=20)
            asked += 1
    return asked


async def test_uploads_that_never_end_are_bounded_and_health_answers_beside_them(process: Served) -> None:
    before, over = process.memory(), asyncio.Event()
    probes = asyncio.create_task(healthy(process, over))
    async with AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(connected(process.port, "127.0.0.2")) for _ in range(30)]
        uploads = []
        for number, caller in enumerate(callers):
            for stream in (1, 3):
                caller.call(stream, METHODS[(number + stream) % len(METHODS)])
                uploads.append(asyncio.create_task(caller.upload(stream, 33 * MIB, 32 * MIB)))
        await asyncio.wait(uploads, timeout=15)
        for upload in uploads:
            upload.cancel()
        ended = await asyncio.gather(*uploads, return_exceptions=True)
        assert len(ended) == 60
        assert any(caller.closed for caller in callers), "some were stopped"
        over.set()
        assert await probes
    assert process.memory("VmHWM") < MOST
    await until_small_again(process, before)


def words(field: bytes, size: int) -> bytes:
    """So many bytes of empty strings in a repeated field."""
    return field * (size // len(field))


def nested(tag: bytes, message: bytes) -> bytes:
    size, length = len(message), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return tag + bytes([*length, size]) + message


FLOODS = (
    ("Annotate", lambda: words(b"\x1a\0", 32 * MIB)),
    ("Annotate", lambda: nested(b"\x52", words(b"\x1a\0", 32 * MIB))),
    ("Annotate", lambda: nested(b"\x0a", picture()) + nested(b"\x52", words(b"\x2a\0", 2 * MIB))),
    ("MatchKeywords", lambda: words(b"\x0a\0", 32 * MIB)),
    ("MatchKeywords", lambda: nested(b"\x0a", b"k" * 32 * MIB)),
    ("AnnotateStream", lambda: nested(b"\x0a", nested(b"\x52", words(b"\x22\0", 32 * MIB)))),
)


async def test_a_flood_of_words_is_refused_before_it_costs_more_than_it_weighs(process: Served) -> None:
    before = process.memory()

    async def flood(channel: grpc.aio.Channel, method: str, message: bytes) -> status_pb2.Status:
        if method == "AnnotateStream":  # that picture's fault
            answer = await channel.stream_unary(f"{SERVICE}/{method}")(iter([message]))
            return annotator_pb2.AnnotateStreamResponse.FromString(answer).error
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary(f"{SERVICE}/{method}")(message)
        return status_of(raised.value)

    async with grpc.aio.insecure_channel(process.address) as channel:
        for method, made in FLOODS:
            message = made()
            errors = await asyncio.gather(*(flood(channel, method, message) for _ in range(4)))
            assert {error.code for error in errors} == {grpc.StatusCode.INVALID_ARGUMENT.value[0]}
            assert {details(error)["ErrorInfo"].reason for error in errors} == {"MALFORMED_REQUEST"}
    assert process.memory("VmHWM") < MOST
    await until_small_again(process, before)


async def test_a_refused_picture_is_let_go_at_once(process: Served) -> None:
    before = process.memory()
    channel = grpc.aio.insecure_channel(process.address)
    stub = annotator_pb2_grpc.AnnotatorServiceStub(channel)
    broken = tags_and_text(bytes(20 * MIB))

    async def requests() -> AsyncIterator[annotator_pb2.AnnotateStreamRequest]:
        for _ in range(10):
            yield annotator_pb2.AnnotateStreamRequest(request=broken)

    async with channel:
        for _ in range(10):
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Annotate(broken)
        answers = [answer async for answer in stub.AnnotateStream(requests())]
        assert len(answers) == 10
        await until_small_again(process, before)


async def test_what_is_no_message_is_the_callers_fault_and_counted(
    running: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    garbage = b"\xff" * 100
    calls = {
        "Annotate": "MALFORMED_REQUEST",
        "MatchKeywords": "MALFORMED_REQUEST",
        "GetCatalog": "MALFORMED_REQUEST",
    }
    caplog.set_level(logging.WARNING)
    for method, reason in calls.items():
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await running.channel.unary_unary(f"{SERVICE}/{method}")(garbage)
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert details(status_of(raised.value))["ErrorInfo"].reason == reason
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await anext(aiter(running.channel.stream_stream(f"{SERVICE}/AnnotateStream")(iter([garbage]))))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await running.channel.unary_unary("/grpc.health.v1.Health/Check")(garbage)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert await running.metric('imagier_refused_calls_total{reason="MALFORMED_REQUEST"}') == 5
    assert not caplog.records


async def test_before_a_malformed_message_ends_a_stream_what_came_before_it_is_answered(running: Gateway) -> None:
    good = annotator_pb2.AnnotateStreamRequest(request=tags_and_text(picture(), "good")).SerializeToString()
    call = running.channel.stream_stream(f"{SERVICE}/AnnotateStream")(iter([good, b"\xff"]))
    answer = annotator_pb2.AnnotateStreamResponse.FromString(await anext(aiter(call)))
    assert answer.response.request_id == "good"
    assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_request_that_takes_too_long_to_arrive_is_ended(
    repository: Path, fake: FakeTriton, unused_tcp_port: int
) -> None:
    async with (
        serving(fake) as port,
        gateway(repository, port, unused_tcp_port, receive_seconds=0.2) as running,
        connected(int(running.address.rpartition(":")[2])) as slow,
        asyncio.timeout(20),
    ):
        slow.call(1, f"{SERVICE}/Annotate")
        await slow.upload(1, 1000, 500)
        await slow.ended(1)
        assert await running.metric('imagier_refused_calls_total{reason="DEADLINE_EXCEEDED"}') == 1


async def test_as_many_words_as_the_contract_allows_are_taken(running: Gateway) -> None:
    many = [f"Places|Europe|France|Region {number}|{'x' * 100}" for number in range(5000)]
    answer = await running.stub.MatchKeywords(keywords_pb2.MatchKeywordsRequest(keywords=many, languages=["en"]))
    assert len(answer.matches) == 5000
    request = tags_and_text(picture())
    request.tags.CopyFrom(tags_pb2.TagsOptions(allow=many[:2000], deny=many[:2000], existing_tags=many[:2000]))
    assert (await running.stub.Annotate(request)).tags.status.code == 0
