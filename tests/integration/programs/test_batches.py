# SPDX-License-Identifier: Apache-2.0
"""Programs that send a batch at once and never retry: their calls wait for room, a while, and in nobody's way."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx2
from imagier.v1 import annotator_pb2, tags_pb2
from imagier_server.call import Lane
from support.fake_triton import FakeTriton, serving
from support.relay import through
from support.running_gateway import Gateway, details, gateway, picture, status_of

AZURE = "/azure/vision/v3.2/analyze?visualFeatures=tags&language=en"
JPEG = picture(size=(64, 48))
TAGGED = 'imagier_requests_total{code="ok",lane="bulk",transport="http"}'
THERE = ("imagier_in_flight_pictures", "imagier_waiting_streams")
FACADES = {"http_facades": "azure,mt-photos,ollama"}


@asynccontextmanager
async def program(url: str) -> AsyncIterator[httpx2.AsyncClient]:
    """One that opens a connection for each call, as a web server's PHP does."""
    many = httpx2.Limits(max_connections=200, max_keepalive_connections=0)
    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=300, limits=many) as client:
        yield client


@asynccontextmanager
async def bulk_held(fake: FakeTriton) -> AsyncIterator[asyncio.Event]:
    """Triton answers no bulk inference until the event is set."""
    goes_on = asyncio.Event()
    for model in ("tagger", "text_detector"):
        fake.behaviours[model] = _held(fake.behaviours[model], goes_on)
    yield goes_on


def _held(answer: Any, goes_on: asyncio.Event) -> Any:
    async def held(request: Any, context: Any) -> Any:
        if request.parameters["priority"].uint64_param == Lane.BULK:
            await goes_on.wait()
        return await answer(request, context)

    return held


async def statuses(calls: list[Any]) -> Counter[int]:
    return Counter([answer.status_code for answer in await asyncio.gather(*calls)])


async def tag(running: Gateway) -> None:
    """One call of a person's over gRPC, who tries again if told so."""
    asked = annotator_pb2.AnnotateRequest(image=JPEG, tags=tags_pb2.TagsOptions())
    while True:
        try:
            await running.stub.Annotate(asked, timeout=120)
        except grpc.aio.AioRpcError as error:
            assert "RetryInfo" in details(status_of(error)), error.code()
        else:
            return


async def generate(ollama: httpx2.AsyncClient) -> None:
    """One of a person's over Ollama's API."""
    asked = {"model": "imagier-tags", "images": [base64.b64encode(JPEG).decode()], "stream": False}
    while (answer := await ollama.post("/api/generate", json=asked)).status_code != 200:
        assert "retry-after" in answer.headers, answer.text


async def test_fifty_at_once_with_room_for_two(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> None:
    async with (
        serving(fake) as port,
        gateway(
            repository, port, unused_tcp_port, in_flight=2, batch_wait_seconds=250.0, deadline_seconds=300.0, **FACADES
        ) as running,
        program(running.http) as piwigo,
        asyncio.timeout(200),
    ):
        await running.until(ready=True)
        assert await statuses([piwigo.post(AZURE, content=JPEG) for _ in range(50)]) == {200: 50}
        assert await running.metric(TAGGED) == 50
        assert await running.metric("imagier_waiting_streams") == 0


async def test_the_wait_is_bounded_and_ends_in_a_refusal_that_says_when_to_come_back(
    repository: Path, fake: FakeTriton, unused_tcp_port: int
) -> None:
    async with (
        serving(fake) as port,
        gateway(repository, port, unused_tcp_port, in_flight=1, batch_wait_seconds=0.0, **FACADES) as running,
        program(running.http) as caller,
        bulk_held(fake) as goes_on,
        asyncio.timeout(100),
    ):
        await running.until(ready=True)
        first = asyncio.create_task(caller.post(AZURE, content=JPEG))
        while await running.metric("imagier_in_flight_pictures") < 1:
            pass
        azure = await caller.post(AZURE, content=JPEG)
        # An empty result would be taken for a picture without text.
        photos = await caller.post("/ocr", files={"file": ("1.jpg", JPEG)}, headers={"api-key": "any"})
        assert (azure.status_code, azure.json()["error"]["code"]) == (429, "429")
        assert (photos.status_code, set(photos.json())) == (429, {"detail"})
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in (azure, photos))
        refused = 'imagier_requests_total{code="exhausted",lane="bulk",transport="http"}'
        assert await running.metric(refused) == 2
        goes_on.set()
        assert (await first).status_code == 200


async def test_two_batches_starve_neither_each_other_nor_people(
    repository: Path, fake: FakeTriton, unused_tcp_port: int
) -> None:
    async with (
        serving(fake) as port,
        gateway(
            repository, port, unused_tcp_port, in_flight=8, batch_wait_seconds=250.0, deadline_seconds=300.0, **FACADES
        ) as running,
        through("127.0.0.2", int(running.http.rpartition(":")[2])) as second,
        through("127.0.0.3", int(running.http.rpartition(":")[2])) as third,
        program(f"http://127.0.0.1:{second}") as piwigo,
        program(f"http://127.0.0.1:{third}") as mt_photos,
        program(running.http) as ollama,
        bulk_held(fake) as goes_on,
        asyncio.timeout(250),
    ):
        await running.until(ready=True)
        tagged = [asyncio.create_task(piwigo.post(AZURE, content=JPEG)) for _ in range(100)]
        read = [asyncio.create_task(mt_photos.post("/ocr", files={"file": ("1.jpg", JPEG)})) for _ in range(20)]
        while sum([await running.metric(line) for line in THERE]) < 120:
            pass
        # All of it waits, and nobody who calls for a single picture waits behind it.
        for _ in range(5):
            await tag(running)
            await generate(ollama)
        assert not any(call.done() for call in (*tagged, *read))
        goes_on.set()
        assert await statuses(tagged) == {200: 100}
        assert await statuses(read) == {200: 20}
        assert await running.metric(TAGGED) == 120
