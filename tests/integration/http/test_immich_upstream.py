# SPDX-License-Identifier: Apache-2.0
"""What the façade of Immich relays to a native Immich, and that no fault of that one reaches further than its own answer."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import pytest_asyncio
from imagier_server.transport.http.immich import upstream
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from support.fake_triton import FakeTriton, serving
from support.native_immich import FACES, FOUND, MULTIPART, OCR, NativeImmich, blob, form
from support.running_gateway import Gateway, gateway, picture
from support.scripted_models import write_repository

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[tuple[NativeImmich, str]]:
    native = NativeImmich()
    async with native.listening() as url:
        yield native, url


@pytest.fixture
def native(stage: tuple[NativeImmich, str]) -> NativeImmich:
    native = stage[0]
    native.seen.clear()
    native.answer = native.faces
    native.go.clear()
    return native


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(
    shared_fake: FakeTriton, tmp_path_factory: pytest.TempPathFactory, stage: tuple[NativeImmich, str]
) -> AsyncIterator[Gateway]:
    repository = write_repository(tmp_path_factory.mktemp("models"))
    async with (
        serving(shared_fake) as port,
        gateway(repository, port, 0, http_facades="immich", immich_upstream=stage[1]) as running,
    ):
        await running.until(ready=True)
        yield running


async def ask(client: httpx.AsyncClient, entries: Any, image: bytes | None = None) -> httpx.Response:
    return await client.post("/predict", content=form(entries, image or picture()), headers=MULTIPART)


async def test_faces_come_from_the_native_one_byte_for_byte(client: httpx.AsyncClient, native: NativeImmich) -> None:
    answer = await ask(client, FACES)
    assert answer.status_code == 200
    assert answer.content == JSONResponse({"facial-recognition": FOUND, "imageHeight": 480, "imageWidth": 640}).body
    assert native.seen == [(FACES, picture())]


async def test_the_picture_is_passed_on_while_it_arrives(client: httpx.AsyncClient, native: NativeImmich) -> None:
    begun = asyncio.Event()
    image = b"x" * 300_000

    async def watch(request: Request) -> Response:
        async for chunk in request.stream():
            if b"xxxx" in chunk:
                begun.set()
        return JSONResponse({"facial-recognition": []})

    async def slowly() -> AsyncIterator[bytes]:
        body = form(FACES, image)
        yield body[:200_000]
        await asyncio.wait_for(begun.wait(), 60)
        yield body[200_000:]

    native.answer = watch
    answer = await client.post("/predict", content=slowly(), headers=MULTIPART)
    assert answer.json() == {"facial-recognition": []}


async def test_ours_and_theirs_in_one_request(client: httpx.AsyncClient, native: NativeImmich) -> None:
    """They learn of their own task only."""
    answer = await ask(client, {**OCR, **FACES})
    assert answer.json() == {
        "facial-recognition": FOUND,
        "ocr": {"text": [], "box": [], "boxScore": [], "textScore": []},
        "imageHeight": 480,
        "imageWidth": 640,
    }
    ((entries, image),) = native.seen
    assert (list(entries), image) == (["facial-recognition"], picture())


async def test_entries_behind_the_picture_are_found_too(client: httpx.AsyncClient, native: NativeImmich) -> None:
    last = form(FACES, b"")
    entries, end = last[: last.index(blob(b""))], last[last.index(blob(b"")) + len(blob(b"")) :]
    answer = await client.post("/predict", content=blob(picture()) + entries + end, headers=MULTIPART)
    assert answer.json()["facial-recognition"] == FOUND
    assert native.seen[0][1] == picture()


async def test_a_compressed_request_is_passed_on_plain(client: httpx.AsyncClient, native: NativeImmich) -> None:
    body = gzip.compress(form(FACES, picture()))
    answer = await client.post("/predict", content=body, headers=MULTIPART | {"content-encoding": "gzip"})
    assert answer.status_code == 200
    assert native.seen == [(FACES, picture())]


def nested(depth: int) -> str:
    return '{"facial-recognition":' + "[" * depth + "]" * depth + "}"


FAULTS = {
    "a failure": Response("Internal Server Error", 500),
    "a busy server": Response(status_code=429),
    "no JSON": Response("<html>", media_type="text/html"),
    "half of JSON": Response('{"facial-recognition": [', media_type="application/json"),
    "JSON without the task": JSONResponse({"clip": "[]"}),
    "nothing for the task": JSONResponse({"facial-recognition": None}),
    "no object": JSONResponse([]),
    "no number": Response('{"facial-recognition": [NaN]}'),
    "no UTF-8": Response(b'{"facial-recognition": "\xff"}'),
    "too deep": Response(nested(100_000)),
    "too large": Response(json.dumps({"facial-recognition": ["x" * upstream.ANSWER_BYTES]})),
    "compressed": Response(gzip.compress(b'{"facial-recognition": []}'), headers={"content-encoding": "gzip"}),
    "elsewhere": RedirectResponse("http://127.0.0.1/"),
}


@pytest.mark.parametrize("entries", [FACES, {**OCR, **FACES}], ids=["relayed", "mixed"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_an_error_to_try_again_and_ours_goes_on(
    client: httpx.AsyncClient, native: NativeImmich, fault: str, entries: Any
) -> None:
    """A request that has failed in part fails: Immich would take a task that its answer lacks for undefined."""

    async def faulty(request: Request) -> Response:
        await request.body()
        return FAULTS[fault]

    native.answer = faulty
    answer = await ask(client, entries)
    assert (answer.status_code, list(answer.json())) == (503, ["detail"])
    assert int(answer.headers["retry-after"]) > 0
    assert (await ask(client, OCR)).status_code == 200


async def test_a_refusal_is_for_good(client: httpx.AsyncClient, native: NativeImmich) -> None:
    async def refuse(request: Request) -> Response:
        return JSONResponse({"detail": "Invalid request format."}, 422)

    native.answer = refuse
    answer = await ask(client, FACES)
    assert (answer.status_code, "retry-after" in answer.headers) == (400, False)


async def test_as_many_as_it_may_hold_and_ours_beside_them(client: httpx.AsyncClient, native: NativeImmich) -> None:
    native.answer = native.wait
    small = picture(size=(64, 64))
    waiting = [asyncio.create_task(ask(client, FACES, small)) for _ in range(upstream.MOST)]
    for _ in waiting:
        await asyncio.wait_for(native.waiting.acquire(), 60)
    refused = await ask(client, FACES, small)
    assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
    assert (await ask(client, OCR)).status_code == 200
    native.go.set()
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}


async def test_slow_dead_and_broken_off(repository: Path, fake: FakeTriton) -> None:
    breaks_off = True

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if breaks_off:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
        else:
            await reader.read(-1)
        writer.close()

    native = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{native.sockets[0].getsockname()[1]}"
    async with (
        serving(fake) as engine,
        gateway(repository, engine, 0, http_facades="immich", immich_upstream=url, immich_seconds=0.5) as running,
        httpx.AsyncClient(base_url=running.http, trust_env=False) as client,
    ):
        await running.until(ready=True)

        async def relayed_fails_alone() -> None:
            answer = await ask(client, FACES)
            assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
            assert (await ask(client, OCR)).status_code == 200
            assert (await client.get("/ping")).text == "pong"

        await relayed_fails_alone()
        breaks_off = False
        await relayed_fails_alone()
        native.close()
        await relayed_fails_alone()
