# SPDX-License-Identifier: Apache-2.0
"""A server with keys: each API's clients send them in their own way, read refusals in their own shape, and pay once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import httpx2
import ollama
import openai
import pytest
import pytest_asyncio
from imagier_server.ledger import keys
from imagier_server.ledger.database import Database
from imagier_server.ledger.keys import Wish
from support.fake_triton import FakeTriton, serving
from support.running_gateway import Gateway, gateway
from support.scripted_models import write_repository

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with closing(Database(str(tmp_path_factory.mktemp("ledger") / "ledger.db"))) as made:
        made.migrate()
        yield made


def key(ledger: Database, *scopes: str, tenant: str = "library", allowance: int = 100) -> str:
    with ledger.writing() as connection:
        return keys.create(connection, Wish(tenant, scopes or ("tasks",), allowance=allowance))[1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keyed(
    shared_fake: FakeTriton, ledger: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    repository = write_repository(tmp_path_factory.mktemp("repository"))
    async with serving(shared_fake) as port, gateway(repository, port, 0, ledger=ledger.where) as running:
        await running.until(ready=True)
        yield running


def labels(data_url: str) -> dict[str, Any]:
    return {"id": "1", "suffix": "", "stream": False, "images": [data_url]}


async def test_each_client_sends_its_key_in_its_own_way(
    keyed: Gateway, ledger: Database, jpeg: bytes, data_url: str
) -> None:
    secret = key(ledger)
    parts: list[Any] = [{"type": "image_url", "image_url": {"url": data_url}}]
    async with openai.AsyncOpenAI(base_url=f"{keyed.http}/v1", api_key=secret, max_retries=0) as client:
        messages: list[Any] = [{"role": "user", "content": parts}]
        answer = await client.chat.completions.create(model="imagier-tags", messages=messages)
    assert answer.choices[0].message.content == "cat, tabby cat"
    frigate = ollama.AsyncClient(host=keyed.http, headers={"Authorization": f"Bearer {secret}"})
    assert (await frigate.generate(model="imagier-tags", images=[jpeg])).response == "cat, tabby cat"
    async with httpx2.AsyncClient(base_url=keyed.http, trust_env=False) as photoprism:
        by_header = {"authorization": f"Bearer {secret}"}
        for asked in ({"headers": by_header}, {"params": {"key": secret}}):
            native = await photoprism.post("/api/v1/vision/labels", json=labels(data_url), **asked)  # type: ignore[arg-type]
            assert native.json()["result"]["labels"]


async def test_a_stranger_is_refused_in_each_apis_shape(keyed: Gateway, jpeg: bytes, data_url: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{keyed.http}/v1", api_key="sk-nobody", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as unknown:
            await client.models.list()
    assert unknown.value.code == "invalid_api_key"
    with pytest.raises(ollama.ResponseError, match="key") as refused:
        await ollama.AsyncClient(host=keyed.http).chat(model="imagier-tags", messages=[])
    assert refused.value.status_code == 401
    async with httpx2.AsyncClient(base_url=keyed.http, trust_env=False) as photoprism:
        native = await photoprism.post("/api/v1/vision/labels?key=nobody", json=labels(data_url))
    assert (native.status_code, native.json()["code"]) == (401, 401)
    assert native.headers["www-authenticate"] == "Bearer"


async def test_a_key_has_its_scopes_and_its_credits(keyed: Gateway, ledger: Database, data_url: str) -> None:
    parts: list[Any] = [{"type": "image_url", "image_url": {"url": data_url}}]
    messages: list[Any] = [{"role": "user", "content": parts}]
    narrow, poor = key(ledger, "tags"), key(ledger, tenant="poor", allowance=0)
    async with openai.AsyncOpenAI(base_url=f"{keyed.http}/v1", api_key=narrow, max_retries=0) as client:
        assert await client.chat.completions.create(model="imagier-tags", messages=messages)
        with pytest.raises(openai.PermissionDeniedError):
            await client.chat.completions.create(model="imagier-caption", messages=messages)
        with pytest.raises(openai.APIStatusError) as unpaid:
            await client.with_options(api_key=poor).chat.completions.create(model="imagier-tags", messages=messages)
    assert (unpaid.value.status_code, unpaid.value.code) == (402, "insufficient_quota")
    assert unpaid.value.response.headers["x-should-retry"] == "false"
