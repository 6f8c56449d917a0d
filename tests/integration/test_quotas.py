# SPDX-License-Identifier: Apache-2.0
"""Quotas as callers meet them: what is used up, whose it is, and when there is more."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
from imagier.v1 import annotator_pb2, tags_pb2
from support.fake_triton import FakeTriton, serving
from support.running_gateway import details, gateway, picture, status_of

TAGS = annotator_pb2.AnnotateRequest(image=picture(size=(64, 64)), tags=tags_pb2.TagsOptions())


async def test_pictures_in_a_moving_window(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> None:
    quotas = {"quota_pictures": "3 per 4 h", "quota_total_pictures": "100 per day"}
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port, **quotas) as running:
        await running.until(ready=True)
        for _ in range(3):
            await running.stub.Annotate(TAGS)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await running.stub.Annotate(TAGS)
        found = details(status_of(error.value))
        trailers = dict(error.value.trailing_metadata() or ())

        async def one() -> object:
            yield annotator_pb2.AnnotateStreamRequest(request=TAGS)

        with pytest.raises(grpc.aio.AioRpcError) as ended:
            async for _ in running.stub.AnnotateStream(one()):
                pass
        refused = await running.metric('imagier_task_failures_total{reason="KEY_PICTURES",task="tags"}')
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert found["ErrorInfo"].reason == "QUOTA_EXCEEDED"
    assert [each.subject for each in found["QuotaFailure"].violations] == ["key:pictures"]
    seconds = found["RetryInfo"].retry_delay.ToSeconds()
    assert 3600 < seconds <= 4 * 3600
    assert int(trailers["grpc-retry-pushback-ms"]) // 1000 == seconds
    assert details(status_of(ended.value))["ErrorInfo"].reason == "QUOTA_EXCEEDED", (
        "the stream ends; the picture is sent again later"
    )
    assert refused == 1


async def test_pictures_in_flight(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> None:
    tag, go_on = fake.behaviours["tagger"], asyncio.Event()

    async def held(request: object, context: object) -> object:
        await go_on.wait()
        return await tag(request, context)

    fake.behaviours["tagger"] = held
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port, quota_in_flight=2) as running:
        await running.until(ready=True)
        calls = [asyncio.ensure_future(running.stub.Annotate(TAGS)) for _ in range(2)]
        async with asyncio.timeout(30):
            while await running.metric("imagier_in_flight_pictures") < 2:
                pass
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await running.stub.Annotate(TAGS)
        assert details(status_of(error.value))["QuotaFailure"].violations[0].subject == "key:in_flight"
        go_on.set()
        await asyncio.gather(*calls)
        await running.stub.Annotate(TAGS)
