# SPDX-License-Identifier: Apache-2.0
"""Keys and credits over gRPC: a gateway with a ledger in SQLite, before a scripted Triton."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from imagier.v1 import annotator_pb2, catalog_pb2, tags_pb2
from imagier_server.ledger import accounts, keys
from imagier_server.ledger.database import Database
from imagier_server.ledger.keys import Wish
from support.fake_triton import FakeTriton, serving
from support.ledger_cases import account
from support.running_gateway import Gateway, details, gateway, picture, status_of, tags_and_text

PICTURE = picture()
TAGS = annotator_pb2.AnnotateRequest(image=PICTURE, tags=tags_pb2.TagsOptions())
PRICE = 1  # of tags


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    with closing(Database(str(tmp_path / "ledger.db"))) as made:
        made.migrate()
        yield made


def key(ledger: Database, *scopes: str, tenant: str = "library", allowance: int = 100) -> str:
    with ledger.writing() as connection:
        return keys.create(connection, Wish(tenant, scopes or ("tasks",), allowance=allowance))[1]


@pytest.fixture
async def keyed(repository: Path, fake: FakeTriton, unused_tcp_port: int, ledger: Database) -> AsyncIterator[Gateway]:
    async with (
        serving(fake) as port,
        gateway(repository, port, unused_tcp_port, ledger=ledger.where) as running,
    ):
        await running.until(ready=True)
        yield running


def bearer(secret: str, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {secret}"), *more)


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_health_needs_no_key_and_everything_else_does(keyed: Gateway) -> None:
    assert await keyed.ready()
    for call in (
        keyed.stub.Annotate(TAGS),
        keyed.stub.GetCatalog(catalog_pb2.GetCatalogRequest()),
        keyed.stub.Annotate(TAGS, metadata=bearer("img_nonsense")),
        keyed.stub.Annotate(TAGS, metadata=bearer(f"img_{'0' * 12}_{'0' * 64}")),
    ):
        error = await refused(call)
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert details(status_of(error))["ErrorInfo"].reason == "UNAUTHENTICATED"
        assert "RetryInfo" not in details(status_of(error))
        assert dict(error.trailing_metadata())["grpc-retry-pushback-ms"] == "-1"


async def reflected(running: Gateway) -> set[str]:
    """The services that reflection lists, asked without a key."""
    call = reflection_pb2_grpc.ServerReflectionStub(running.channel).ServerReflectionInfo()
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    await call.done_writing()
    return {service.name async for answer in call for service in answer.list_services_response.service}


async def test_reflection_needs_no_key_either(keyed: Gateway) -> None:
    assert {"imagier.v1.AnnotatorService", "imagier.v1.AccountService"} <= await reflected(keyed)


async def test_reflection_can_be_turned_off(
    repository: Path, fake: FakeTriton, unused_tcp_port: int, ledger: Database
) -> None:
    options = {"ledger": ledger.where, "reflection": False}
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port, **options) as running:
        assert (await refused(reflected(running))).code() is grpc.StatusCode.UNIMPLEMENTED
        await running.until(ready=True)


async def test_an_unauthenticated_upload_is_not_read(keyed: Gateway, fake: FakeTriton) -> None:
    big = annotator_pb2.AnnotateRequest(image=bytes(8 << 20), tags=tags_pb2.TagsOptions())
    error = await refused(keyed.stub.Annotate(big))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert fake.requests == []


async def test_what_succeeds_is_charged_and_what_fails_is_not(
    keyed: Gateway, ledger: Database, fake: FakeTriton
) -> None:
    secret = key(ledger)

    async def broken(request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.INTERNAL, "broken")

    fake.behaviours["text_detector"] = broken
    answer = await keyed.stub.Annotate(tags_and_text(PICTURE), metadata=(("x-api-key", secret),))
    assert answer.ocr.status.code
    assert answer.cost == PRICE
    assert (account(ledger).balance, account(ledger).reserved) == (100 - PRICE, 0)


async def test_a_scope_limits_the_tasks(keyed: Gateway, ledger: Database) -> None:
    secret = key(ledger, "tags")
    await keyed.stub.Annotate(TAGS, metadata=bearer(secret))
    error = await refused(keyed.stub.Annotate(tags_and_text(PICTURE), metadata=bearer(secret)))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert account(ledger).balance == 100 - PRICE


async def test_without_credits_a_call_is_refused_for_good_and_with_more_it_works(
    keyed: Gateway, ledger: Database
) -> None:
    secret = key(ledger, allowance=0)
    error = await refused(keyed.stub.Annotate(TAGS, metadata=bearer(secret)))
    assert details(status_of(error))["ErrorInfo"].reason == "CREDITS_USED_UP"
    assert "RetryInfo" not in details(status_of(error))
    with ledger.writing() as connection:
        accounts.grant(connection, "library", PRICE)
    await keyed.stub.Annotate(TAGS, metadata=bearer(secret))
    assert account(ledger).balance == 0


async def test_a_retry_is_free_and_another_picture_under_its_key_is_not(keyed: Gateway, ledger: Database) -> None:
    metadata = bearer(key(ledger), ("idempotency-key", "5f0c"))
    for _ in range(3):
        await keyed.stub.Annotate(TAGS, metadata=metadata)
    assert account(ledger).balance == 100 - PRICE
    other = annotator_pb2.AnnotateRequest(image=picture("PNG"), tags=tags_pb2.TagsOptions())
    await keyed.stub.Annotate(other, metadata=metadata)
    assert account(ledger).balance == 100 - 2 * PRICE


async def test_a_retry_while_the_first_try_runs_gets_its_answer(
    keyed: Gateway, ledger: Database, fake: FakeTriton
) -> None:
    metadata = bearer(key(ledger), ("idempotency-key", "5f0c"))
    go_on, tag = asyncio.Event(), fake.behaviours["tagger"]

    async def slow(request: Any, context: Any) -> Any:
        await go_on.wait()
        return await tag(request, context)

    fake.behaviours["tagger"] = slow
    first = keyed.stub.Annotate(TAGS, metadata=metadata)
    while not fake.requests:  # noqa: ASYNC110 - another task makes it true
        await asyncio.sleep(0)
    second = keyed.stub.Annotate(TAGS, metadata=metadata, timeout=30)
    third = keyed.stub.Annotate(TAGS, metadata=metadata, timeout=30)
    await keyed.stub.GetCatalog(catalog_pb2.GetCatalogRequest(), metadata=metadata)
    go_on.set()
    answers = await asyncio.gather(first, second, third)
    assert answers[0].tags.tags == answers[1].tags.tags == answers[2].tags.tags
    assert len(fake.requests) == 1
    assert account(ledger).balance == 100 - PRICE


async def test_a_caller_who_leaves_gets_the_credits_back(keyed: Gateway, ledger: Database, fake: FakeTriton) -> None:
    secret = key(ledger)

    async def never(request: Any, context: Any) -> Any:
        await asyncio.Event().wait()

    fake.behaviours["tagger"] = never
    call = keyed.stub.Annotate(TAGS, metadata=bearer(secret))
    while not fake.requests:  # noqa: ASYNC110 - another task makes it true
        await asyncio.sleep(0)
    assert account(ledger).reserved == PRICE
    call.cancel()
    async with asyncio.timeout(30):
        while account(ledger).reserved:  # noqa: ASYNC110 - a thread makes it true
            await asyncio.sleep(0)
    assert account(ledger).balance == 100


async def test_a_stream_is_charged_by_picture_and_ends_being_served_when_its_key_is_revoked(
    keyed: Gateway, ledger: Database
) -> None:
    secret = key(ledger)
    stream = keyed.stub.AnnotateStream(metadata=bearer(secret))
    for _ in range(3):
        await stream.write(annotator_pb2.AnnotateStreamRequest(request=TAGS))
        assert not (await stream.read()).error.code
    assert account(ledger).balance == 100 - 3 * PRICE
    with ledger.writing() as connection:
        keys.revoke(connection, str(keys.parse(secret)))
    async with asyncio.timeout(30):
        while True:
            await stream.write(annotator_pb2.AnnotateStreamRequest(request=TAGS))
            answer = await stream.read()
            if answer.error.code:
                break
    assert answer.error.code == grpc.StatusCode.UNAUTHENTICATED.value[0]
    stream.cancel()


async def test_a_ledger_that_is_locked_away_refuses_new_work_with_a_delay_and_charges_once_when_it_is_back(
    keyed: Gateway, ledger: Database, fake: FakeTriton
) -> None:
    """Another process holds SQLite's write lock: a real ledger that does not answer."""
    metadata = bearer(key(ledger))
    await keyed.stub.Annotate(TAGS, metadata=metadata)
    go_on, tag = asyncio.Event(), fake.behaviours["tagger"]

    async def slow(request: Any, context: Any) -> Any:
        await go_on.wait()
        return await tag(request, context)

    fake.behaviours["tagger"] = slow
    in_flight = keyed.stub.Annotate(TAGS, metadata=metadata)
    while len(fake.requests) < 2:  # noqa: ASYNC110 - another task makes it true
        await asyncio.sleep(0)
    with closing(sqlite3.connect(ledger.where, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        go_on.set()
        assert (await in_flight).cost == PRICE, "work in flight is answered"
        error = await refused(keyed.stub.Annotate(TAGS, metadata=metadata))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "RetryInfo" in details(status_of(error))
        assert await keyed.metric("imagier_ledger_up") == 0
        assert await keyed.metric("imagier_ledger_unsettled_pictures") == 1
        other.execute("ROLLBACK")
    async with asyncio.timeout(30):
        while account(ledger).balance != 100 - 2 * PRICE:  # noqa: ASYNC110 - a thread makes it true
            await asyncio.sleep(0)
    async with asyncio.timeout(30):
        while not await keyed.metric("imagier_ledger_up"):  # noqa: ASYNC110 - the gateway makes it true
            await asyncio.sleep(0)
    assert account(ledger).reserved == await keyed.metric("imagier_ledger_unsettled_pictures") == 0
