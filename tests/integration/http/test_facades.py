# SPDX-License-Identifier: Apache-2.0
"""A façade, as `transport/http/facades` says how to write one: its shape of an error, its key, and that it can be off."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2 as httpx
import pytest
from imagier_server.errors import ImagierError
from imagier_server.settings import Settings
from imagier_server.transport.http.asking import asked
from imagier_server.transport.http.door import Door
from imagier_server.transport.http.facades import registry
from imagier_server.transport.http.facades.facade import Endpoint, Facade
from imagier_server.transport.http.routes import PathConflictError
from imagier_server.transport.statuses import http_status
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from support.fake_triton import FakeTriton, serving
from support.running_gateway import gateway, picture


async def first_caption(request: Request, door: Door) -> Response:
    call = await door.call_of(request, secret=request.path_params["key"])
    document = await door.json(request, call)
    wanted = asked(document.picture(document.value["image"]), {"caption": {"candidates": 1}})
    outcome = (await door.annotate(wanted, call)).outcomes["caption"]
    if outcome.error:
        raise outcome.error
    return JSONResponse({"text": outcome.result.captions[0].text})  # type: ignore[attr-defined]


async def broken(request: Request, door: Door) -> Response:
    raise RuntimeError("the words on the receipt")


def refuse(request: Request, error: ImagierError) -> Response:
    return JSONResponse({"oops": error.text}, http_status(error))


EXAMPLE = Facade("example", (Endpoint("/example/{key}", first_caption), Endpoint("/broken", broken, ("GET",))), refuse)


@pytest.fixture
async def example(
    repository: Path, fake: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setattr(registry, "BUILT_IN", (EXAMPLE,))
    async with (
        serving(fake) as engine,
        gateway(repository, engine, 0, http_facades="example") as running,
        httpx.AsyncClient(base_url=running.http, trust_env=False) as client,
    ):
        await running.until(ready=True)
        yield client


async def test_it_answers_and_refuses_in_its_own_shape(example: httpx.AsyncClient) -> None:
    answer = await example.post("/example/k", json={"image": base64.b64encode(picture()).decode()})
    assert (answer.status_code, list(answer.json())) == (200, ["text"])
    answer = await example.post("/example/k", json={"image": "?"})
    assert (answer.status_code, list(answer.json())) == (400, ["oops"])
    answer = await example.post("/example/k", content=b"{")
    assert (answer.status_code, list(answer.json())) == (400, ["oops"])


async def test_what_is_unforeseen_stays_with_us(example: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    answer = await example.get("/broken")
    assert (answer.status_code, answer.json()) == (500, {"oops": "internal error"})
    assert [record.message for record in caplog.records] == ["request failed"]


async def test_off(example: httpx.AsyncClient, repository: Path, fake: FakeTriton) -> None:
    async with (
        serving(fake) as engine,
        gateway(repository, engine, 0, http_facades="") as running,
        httpx.AsyncClient(base_url=running.http, trust_env=False) as client,
    ):
        assert (await client.post("/example/k")).status_code == 404


async def test_every_facade_beside_the_others_and_the_page(repository: Path, fake: FakeTriton) -> None:
    async with (
        serving(fake) as engine,
        gateway(repository, engine, 0, http_facades="all", http_metrics=True) as running,
        httpx.AsyncClient(base_url=running.http, trust_env=False) as client,
    ):
        assert (await client.get("/livez")).status_code == 200


async def test_one_path_for_two_keeps_the_server_from_starting(
    repository: Path, fake: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Facade("other", (Endpoint("/broken", broken, ("GET",), at_root=True),), refuse, "/other")
    monkeypatch.setattr(registry, "BUILT_IN", (EXAMPLE, other))
    async with serving(fake) as engine:
        with pytest.raises(PathConflictError, match="example and other both answer GET /broken"):
            async with gateway(repository, engine, 0, http_facades="all"):
                pass


async def test_what_endpoints_share_lives_as_long_as_the_server(
    repository: Path, fake: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives: list[str] = []

    @asynccontextmanager
    async def opened(door: Door, settings: Settings) -> AsyncIterator[tuple[Endpoint, ...]]:
        async def answer(request: Request, door: Door) -> Response:
            return JSONResponse([*lives, settings.http_facades])

        lives.append("opened")
        yield (Endpoint("/lives", answer, ("GET",)),)
        lives.append("closed")

    monkeypatch.setattr(registry, "BUILT_IN", (Facade("lasting", (), refuse, "/lasting", opened),))
    async with (
        serving(fake) as engine,
        gateway(repository, engine, 0, http_facades="lasting") as running,
        httpx.AsyncClient(base_url=running.http, trust_env=False) as client,
    ):
        assert (await client.get("/lasting/lives")).json() == ["opened", "lasting"]
    assert lives == ["opened", "closed"]


async def test_one_that_there_is_not_keeps_the_server_from_starting(repository: Path) -> None:
    with pytest.raises(registry.UnknownFacadeError, match="--http-facades"):
        async with gateway(repository, 1, 0, http_facades="dance"):
            pass
