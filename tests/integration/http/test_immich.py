# SPDX-License-Identifier: Apache-2.0
"""The façade of Immich's machine learning (immich_ml 2.2.3 to 3.2.4), by requests as Immich's server sends them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import httpx2 as httpx
import numpy as np
import pytest
import pytest_asyncio
from imagier_server.ledger import keys
from imagier_server.ledger.database import Database
from imagier_server.ledger.keys import Wish
from support import made_embedder
from support.fake_triton import FakeTriton, refusing, serving
from support.native_immich import BOUNDARY, CLIP, FACES, MULTIPART, OCR, field, form
from support.running_gateway import Gateway, gateway, picture
from support.scripted_models import TABBY, write_repository

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOTHING = {"text": [], "box": [], "boxScore": [], "textScore": []}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with closing(Database(str(tmp_path_factory.mktemp("ledger") / "ledger.db"))) as made:
        made.migrate()
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(shared_fake: FakeTriton, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    repository = write_repository(tmp_path_factory.mktemp("models"))
    async with (
        serving(shared_fake) as port,
        gateway(repository, port, 0, http_facades="immich", http_metrics=True) as running,
    ):
        await running.until(ready=True)
        yield running


@pytest.mark.parametrize("base", ["", "/immich", "/immich/any-key"])
async def test_every_base_url(client: httpx.AsyncClient, base: str) -> None:
    """Older versions drop the path of the URL that is set, newer ones keep it if it ends in a slash."""
    answer = await client.post(f"{base}/predict", content=form(OCR, picture()), headers=MULTIPART)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {"ocr": NOTHING, "imageHeight": 480, "imageWidth": 640}
    ping = await client.get(f"{base}/ping")
    assert (ping.status_code, ping.text, ping.headers["content-type"]) == (200, "pong", "text/plain; charset=utf-8")
    assert (await client.get(f"{base}/")).json() == {"message": "Immich ML"}


async def test_a_browser_still_gets_the_page(client: httpx.AsyncClient) -> None:
    page = await client.get("/", headers={"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    assert (await client.get("/immich/", headers={"accept": "text/html"})).json() == {"message": "Immich ML"}


def broken(fields: bytes) -> bytes:
    return fields + f"--{BOUNDARY}--\r\n".encode()


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (
            broken(field("text", "a cat")),
            422,
            [{"type": "missing", "loc": ["body", "entries"], "msg": "Field required", "input": None}],
        ),
        (form({}, b"x"), 422, "No model task requested."),
        (form({"pets": {}}, b"x"), 422, "Invalid request format."),
        (broken(field("entries", "{")), 422, "Invalid request format."),
        (broken(field("entries", json.dumps(OCR))), 400, "Either image or text must be provided"),
        (form(OCR, b""), 400, "the image is empty"),
        (form(OCR, b"no picture"), 400, None),
        (broken(field("entries", json.dumps(OCR)) + field("text", "a cat")), 400, "this task needs an image"),
    ],
)
async def test_what_is_wrong_is_said_in_its_shape(
    client: httpx.AsyncClient, body: bytes, status: int, detail: object
) -> None:
    """Immich answers 422 and 400 as FastAPI does; where its server fails with 500, ours says 400."""
    answer = await client.post("/predict", content=body, headers=MULTIPART)
    assert answer.status_code == status
    assert detail is None or answer.json()["detail"] == detail


@pytest.mark.parametrize("entries", [FACES, CLIP, {**OCR, **FACES}])
async def test_what_is_not_served_is_refused_for_good(client: httpx.AsyncClient, entries: dict[str, Any]) -> None:
    answer = await client.post("/predict", content=form(entries, picture()), headers=MULTIPART)
    assert (answer.status_code, "retry-after" in answer.headers) == (501, False)
    assert "--immich-upstream" in answer.json()["detail"]


VISUAL = {"clip": {"visual": {"modelName": made_embedder.NAME}}}
TEXTUAL = {"clip": {"textual": {"modelName": made_embedder.NAME, "options": {"language": "de"}}}}


async def decoded(client: httpx.AsyncClient) -> float:
    """How many pictures have been decoded."""
    page = (await client.get("/metrics")).text
    (count,) = re.findall(r'^imagier_stage_duration_seconds_count\{.*stage="decode".*\} (.+)$', page, re.MULTILINE)
    return float(count)


async def test_vectors_are_strings_and_share_the_decode(client: httpx.AsyncClient) -> None:
    """Immich casts the string to a vector of PostgreSQL unread; a text has no imageHeight and imageWidth."""
    before = await decoded(client)
    answer = await client.post("/predict", content=form({**OCR, **VISUAL}, picture()), headers=MULTIPART)
    assert list(answer.json()) == ["ocr", "clip", "imageHeight", "imageWidth"]
    assert await decoded(client) == before + 1
    assert isinstance(answer.json()["clip"], str)
    vector = json.loads(answer.json()["clip"])
    assert vector == pytest.approx(made_embedder.concepts()[TABBY], abs=0.01)
    body = broken(field("entries", json.dumps(TEXTUAL)) + field("text", "cat"))
    answer = await client.post("/predict", content=body, headers=MULTIPART)
    assert list(answer.json()) == ["clip"]
    assert json.loads(answer.json()["clip"]) == pytest.approx(made_embedder.embedded(np.array([[1]]))[0])


async def test_the_log_says_which_jobs_to_switch_off(
    repository: Path, fake: FakeTriton, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(fake) as port:
        async with gateway(repository, port, 0, http_facades="immich"):
            pass
        (warning,) = [each for each in caplog.records if "immich_upstream" in each.message]
        assert warning.levelno == logging.WARNING
        assert warning.__dict__["fields"]["switch_off"] == ["machineLearning.facialRecognition.enabled"]
        caplog.clear()
        async with gateway(repository, port, 0, http_facades="immich", immich_upstream="http://127.0.0.1:9/"):
            pass
        assert "immich" not in caplog.text
        assert "127.0.0.1:9" not in caplog.text


async def test_immich_turns_to_its_next_server_while_a_model_is_not_ready(repository: Path, fake: FakeTriton) -> None:
    """It asks /ping every 30 s, and those that answer with something else than 2xx last."""
    async with (
        serving(fake) as port,
        gateway(repository, port, 0, http_facades="immich") as running,
        httpx.AsyncClient(base_url=running.http, trust_env=False) as client,
    ):
        await running.until(ready=True)
        assert (await client.get("/ping")).status_code == 200
        fake.loaded.discard("text_detector")
        await running.until(ready=False)
        assert (await client.get("/ping")).status_code == 503


async def test_a_key_in_the_path_or_in_a_header_pays_for_what_succeeds(
    repository: Path, fake: FakeTriton, ledger: Database
) -> None:
    with ledger.writing() as connection:
        secret = keys.create(connection, Wish("home", ("tasks",), allowance=2))[1]
    async with (
        serving(fake) as port,
        gateway(repository, port, 0, http_facades="immich", ledger=ledger.where) as running,
        httpx.AsyncClient(base_url=running.http, trust_env=False, headers=MULTIPART) as client,
    ):
        await running.until(ready=True)
        body = form(OCR, picture())
        assert (await client.get("/ping")).status_code == 200
        stranger = await client.post("/predict", content=body)
        assert (stranger.status_code, list(stranger.json())) == (401, ["detail"])
        assert (await client.post("/immich/img_nobodys/predict", content=body)).status_code == 401
        assert (await client.post(f"/immich/{secret}/predict", content=form(OCR, b"broken"))).status_code == 400
        assert (await client.post(f"/immich/{secret}/predict", content=body)).status_code == 200
        assert (await client.post("/predict", content=body, headers={"x-api-key": secret})).status_code == 200
        assert (await client.post("/predict", content=body, headers={"x-api-key": secret})).status_code == 402


async def test_a_task_that_fails_fails_the_answer_and_none_of_it_is_charged(
    repository: Path, fake: FakeTriton, ledger: Database
) -> None:
    with ledger.writing() as connection:
        secret = keys.create(connection, Wish("away", ("tasks",), allowance=2))[1]
    async with (
        serving(fake) as port,
        gateway(repository, port, 0, http_facades="immich", ledger=ledger.where) as running,
        httpx.AsyncClient(base_url=running.http, trust_env=False, headers={**MULTIPART, "x-api-key": secret}) as client,
    ):
        await running.until(ready=True)
        works = fake.behaviours["text_detector"]
        fake.behaviours["text_detector"] = refusing(grpc.StatusCode.INTERNAL, "out of order")
        assert (await client.post("/predict", content=form({**OCR, **VISUAL}, picture()))).status_code == 500
        fake.behaviours["text_detector"] = works
        assert (await client.post("/predict", content=form({**OCR, **VISUAL}, picture()))).status_code == 200
        assert (await client.post("/predict", content=form(OCR, picture()))).status_code == 402
