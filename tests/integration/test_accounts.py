# SPDX-License-Identifier: Apache-2.0
"""The Python clients and HTTP with a key: what they are charged, and what they see of it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from asyncio import to_thread
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from imagier.v1 import catalog_pb2
from imagier_client import (
    AuthenticationError,
    Balance,
    CreditsError,
    DailyUsage,
    ForbiddenError,
    Quote,
    Tags,
    UnsupportedError,
)
from imagier_server.ledger import keys
from imagier_server.ledger.database import Database
from imagier_server.ledger.keys import Wish
from support.both_clients import Kind
from support.fake_triton import FakeTriton, serving
from support.ledger_cases import account
from support.running_gateway import Gateway, gateway, picture

PICTURE = picture()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(str(tmp_path / "ledger.db"))) as made:
        made.migrate()
        yield made


def key(ledger: Database, *scopes: str, tenant: str = "library", allowance: int = 10) -> str:
    with ledger.writing() as connection:
        return keys.create(connection, Wish(tenant, scopes or ("tasks",), allowance=allowance))[1]


@pytest.fixture
async def keyed(repository: Path, fake: FakeTriton, unused_tcp_port: int, ledger: Database) -> AsyncIterator[Gateway]:
    async with (
        serving(fake) as port,
        gateway(repository, port, unused_tcp_port, ledger=ledger.where, http=True, http_port=0) as running,
    ):
        await running.until(ready=True)
        yield running


async def test_both_clients_are_charged_and_see_it(keyed: Gateway, ledger: Database, kind: Kind) -> None:
    async with kind(keyed.address, key=key(ledger)) as client:
        assert (await client.annotate(PICTURE, Tags())).cost == 1
        answers = await client.many([(1, PICTURE), (2, PICTURE)], Tags())
        assert len(answers) == 2
        assert await client.balance() == Balance("library", 7, 0, 7, postpaid=False)
        now = datetime.now(UTC).date()
        used = await client.usage()
        assert sum(use.pictures for use in used) == 3
        assert used[-1] == DailyUsage(now, "tags", used[-1].pictures, used[-1].credits)
        assert await client.usage(now - timedelta(9), now - timedelta(8)) == ()
        assert await client.quote("tags", pictures=7) == Quote({"tags": 1}, 7, sufficient=True)
        assert not (await client.quote("tags", pictures=8)).sufficient
        with pytest.raises(ForbiddenError):
            await client.balance(tenant="archive")
    async with kind(keyed.address, key=key(ledger, "admin", tenant="operator")) as client:
        assert (await client.balance(tenant="library")).balance == 7
        with pytest.raises(ForbiddenError):
            await client.annotate(PICTURE, Tags())


async def test_what_clients_meet_without_key_or_credits(keyed: Gateway, ledger: Database, kind: Kind) -> None:
    for wrong in (None, "img_wrong"):
        async with kind(keyed.address, key=wrong) as client:
            with pytest.raises(AuthenticationError):
                await client.catalog()
    async with kind(keyed.address, key=key(ledger, tenant="poor", allowance=0)) as client:
        with pytest.raises(CreditsError):
            await client.annotate(PICTURE, Tags())


async def test_a_retry_of_the_client_is_charged_once(
    keyed: Gateway, ledger: Database, fake: FakeTriton, kind: Kind
) -> None:
    """The answer of the first try is lost on its way: the ledger has the charge, the caller has nothing."""
    secret, calls = key(ledger), 0
    tag = fake.behaviours["tagger"]

    async def twice(request: Any, context: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        return await tag(request, context)

    fake.behaviours["tagger"] = twice
    async with kind(keyed.address, key=secret) as client:
        answers = await client.many([(n, PICTURE) for n in range(3)], Tags())
    assert all(answer.tags and answer.tags.ok for _, answer in answers)
    assert account(ledger).balance == 7


async def test_an_open_server_quotes_and_has_no_accounts(running: Gateway, kind: Kind) -> None:
    async with kind(running.address) as client:
        assert (await client.quote("tags")).sufficient
        for asked in (client.balance, client.usage):
            with pytest.raises(UnsupportedError):
                await asked()


def fetched(url: str, secret: str) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url, headers={"x-api-key": secret})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


async def test_the_same_over_http(keyed: Gateway, ledger: Database) -> None:
    secret = key(ledger)
    await keyed.stub.GetCatalog(catalog_pb2.GetCatalogRequest(), metadata=(("x-api-key", secret),))
    status, found = await to_thread(fetched, f"{keyed.http}/v1/account", secret)
    assert (status, found["tenant"], found["available"]) == (200, "library", "10")
    assert await to_thread(fetched, f"{keyed.http}/v1/usage?first_day=2026-11-01&last_day=2026-11-02", secret) == (
        200,
        {"usage": []},
    )
    status, found = await to_thread(fetched, f"{keyed.http}/v1/account?tenant=archive", secret)
    assert status == 403
    for misspelt in ("account?tennant=library", "usage?days=3"):
        status, found = await to_thread(fetched, f"{keyed.http}/v1/{misspelt}", secret)
        assert (status, found["reason"]) == (400, "INVALID_REQUEST"), "not another question's answer"
    status, _ = await to_thread(fetched, f"{keyed.http}/v1/account", "img_wrong")
    assert status == 401
