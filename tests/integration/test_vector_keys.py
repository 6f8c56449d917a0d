# SPDX-License-Identifier: Apache-2.0
"""Keys and credits of texts and labels, over gRPC and HTTP: a gateway with a ledger in SQLite, before a scripted Triton."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from imagier.v1 import account_pb2, account_pb2_grpc, annotator_pb2, embedding_pb2
from imagier_server.ledger import accounts, keys
from imagier_server.ledger.database import Database
from imagier_server.ledger.keys import Wish
from support import made_embedder
from support.fake_triton import FakeTriton, serving
from support.ledger_cases import account
from support.running_gateway import Gateway, gateway, picture

PRICE = 3
TEXTS = embedding_pb2.EmbedTextRequest(texts=["cat", "red car"])
VECTORS = [embedding_pb2.Vector(values=[float(place == each) for each in range(8)]) for place in range(5)]
LABEL = embedding_pb2.TrainLabelRequest(
    label="garden",
    space=embedding_pb2.VectorSpace(name=made_embedder.NAME, dimension=8, distance="cosine"),
    positives=VECTORS[:2],
    negatives=VECTORS[2:4],
)
OTHER_TEXTS = embedding_pb2.EmbedTextRequest(texts=["cat", "red house"])
OTHER_LABEL = embedding_pb2.TrainLabelRequest(
    label="garden", space=LABEL.space, positives=VECTORS[:2], negatives=VECTORS[3:]
)
RPCS = {embedding_pb2.EmbedTextRequest: "EmbedText", embedding_pb2.TrainLabelRequest: "TrainLabel"}

Ask = Callable[..., Awaitable[int | str]]
"""(request, secret of the key, idempotency key) → the cost, or the code of the refusal."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(str(tmp_path / "ledger.db"))) as made:
        made.migrate()
        yield made


@pytest.fixture
async def keyed(
    repository: Path, fake: FakeTriton, unused_tcp_port: int, ledger: Database, tmp_path: Path
) -> AsyncIterator[Gateway]:
    (tmp_path / "prices.toml").write_text(f"embedding = {PRICE}\n", "utf-8")
    options = {"ledger": ledger.where, "prices": tmp_path / "prices.toml", "http": True, "http_port": 0}
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port, **options) as running:
        await running.until(ready=True)
        yield running


@pytest.fixture(params=["grpc", "http"])
def ask(request: pytest.FixtureRequest, keyed: Gateway) -> Ask:
    return {"grpc": over_grpc, "http": over_http}[request.param](keyed)


def headers(secret: str, idempotency: str) -> dict[str, str]:
    given = {"authorization": f"Bearer {secret}" if secret else "", "idempotency-key": idempotency}
    return {name: value for name, value in given.items() if value}


def over_grpc(keyed: Gateway) -> Ask:
    async def ask(request: Any, secret: str, idempotency: str = "") -> int | str:
        rpc = getattr(keyed.stub, RPCS[type(request)])
        try:
            return int((await rpc(request, metadata=tuple(headers(secret, idempotency).items()))).cost)
        except grpc.aio.AioRpcError as error:
            return error.code().name

    return ask


def over_http(keyed: Gateway) -> Ask:
    """Texts by /v1, whose refusals are HTTP's; labels by Connect, which has gRPC's codes."""
    names = {401: "UNAUTHENTICATED", 402: "FAILED_PRECONDITION", 403: "PERMISSION_DENIED", 500: "INTERNAL"}

    async def ask(request: Message, secret: str, idempotency: str = "") -> int | str:
        rpc = RPCS[type(request)]
        path = "/v1/embed-text" if rpc == "EmbedText" else f"/imagier.v1.AnnotatorService/{rpc}"
        async with httpx2.AsyncClient() as http:
            answer = await http.post(
                keyed.http + path, json=MessageToDict(request), headers=headers(secret, idempotency), timeout=60
            )
        found = answer.json()
        if answer.status_code == 200:
            return int(found["cost"])
        return str(found["code"]).upper() if "code" in found else names[answer.status_code]

    return ask


def key(ledger: Database, *scopes: str, allowance: int = 100) -> str:
    with ledger.writing() as connection:
        return keys.create(connection, Wish("library", scopes or ("tasks",), allowance=allowance))[1]


def held(ledger: Database) -> tuple[int, int]:
    found = account(ledger)
    return found.balance, found.reserved


async def balance(ledger: Database) -> int:
    """Once nothing is reserved any more: what is given back is entered later."""
    async with asyncio.timeout(60):
        while account(ledger).reserved:  # noqa: ASYNC110 - a thread makes it true
            await asyncio.sleep(0)
    return account(ledger).balance


both = pytest.mark.parametrize("request_", [TEXTS, LABEL], ids=["texts", "label"])


@both
async def test_a_key_is_needed(ask: Ask, fake: FakeTriton, request_: Message) -> None:
    asked = len(fake.requests)
    for wrong in ("", "img_nonsense", f"img_{'0' * 12}_{'0' * 64}"):
        assert await ask(request_, wrong) == "UNAUTHENTICATED"
    assert len(fake.requests) == asked


@both
async def test_the_scope_is_that_of_the_task_embedding(
    ask: Ask, ledger: Database, fake: FakeTriton, request_: Message
) -> None:
    asked = len(fake.requests)
    assert await ask(request_, key(ledger, "tags", "ocr", "caption", "fingerprint")) == "PERMISSION_DENIED"
    assert (held(ledger), len(fake.requests)) == ((100, 0), asked)
    assert await ask(request_, key(ledger, "embedding", allowance=0)) == PRICE
    assert held(ledger) == (100 - PRICE, 0)


@both
async def test_a_call_costs_the_price_of_one_vector(
    ask: Ask, keyed: Gateway, ledger: Database, request_: Message
) -> None:
    secret = key(ledger)
    assert await ask(request_, secret) == PRICE
    assert held(ledger) == (100 - PRICE, 0)
    use = account_pb2_grpc.AccountServiceStub(keyed.channel).ListUsage
    (day,) = (await use(account_pb2.ListUsageRequest(), metadata=(("x-api-key", secret),))).usage
    assert (day.task, day.credits, day.day) == ("embedding", PRICE, datetime.now(UTC).date().isoformat())


async def test_256_texts_cost_what_one_costs(ask: Ask, ledger: Database) -> None:
    assert await ask(embedding_pb2.EmbedTextRequest(texts=["cat"] * 256), key(ledger)) == PRICE
    assert held(ledger) == (100 - PRICE, 0)


@both
async def test_without_credits_it_is_refused_and_with_more_it_works(
    ask: Ask, ledger: Database, request_: Message
) -> None:
    secret = key(ledger, allowance=PRICE - 1)
    assert await ask(request_, secret) == "FAILED_PRECONDITION"
    assert held(ledger) == (PRICE - 1, 0)
    with ledger.writing() as connection:
        accounts.grant(connection, "library", 1)
    assert await ask(request_, secret) == PRICE
    assert held(ledger) == (0, 0)


async def test_what_fails_is_given_back(ask: Ask, ledger: Database, fake: FakeTriton) -> None:
    async def broken(request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.INTERNAL, "broken")

    fake.behaviours["text_embedder"] = broken
    assert await ask(TEXTS, key(ledger)) == "INTERNAL"
    assert await balance(ledger) == 100


@pytest.mark.parametrize(
    "request_",
    [
        embedding_pb2.EmbedTextRequest(texts=["cat", " "]),
        embedding_pb2.TrainLabelRequest(label="garden", space=LABEL.space, positives=VECTORS),
    ],
    ids=["texts", "label"],
)
async def test_what_is_refused_costs_nothing(keyed: Gateway, ledger: Database, request_: Message) -> None:
    assert await over_grpc(keyed)(request_, key(ledger)) == "INVALID_ARGUMENT"
    assert held(ledger) == (100, 0)


async def test_a_caller_who_leaves_gets_the_credits_back(keyed: Gateway, ledger: Database, fake: FakeTriton) -> None:
    arrived = asyncio.Event()

    async def never(request: Any, context: Any) -> Any:
        arrived.set()
        await asyncio.Event().wait()

    fake.behaviours["text_embedder"] = never
    call = keyed.stub.EmbedText(TEXTS, metadata=(("x-api-key", key(ledger)),))
    await asyncio.wait_for(arrived.wait(), 60)
    assert held(ledger) == (100, PRICE)
    call.cancel()
    assert await balance(ledger) == 100


@pytest.mark.parametrize(("request_", "other"), [(TEXTS, OTHER_TEXTS), (LABEL, OTHER_LABEL)], ids=["texts", "label"])
async def test_a_retry_is_free_and_another_question_under_its_key_is_not(
    ask: Ask, ledger: Database, request_: Message, other: Message
) -> None:
    secret = key(ledger)
    for _ in range(3):
        assert await ask(request_, secret, "5f0c") == PRICE
    assert held(ledger) == (100 - PRICE, 0)
    await ask(other, secret, "5f0c")
    assert held(ledger) == (100 - 2 * PRICE, 0)
    await ask(request_, secret)
    assert held(ledger) == (100 - 3 * PRICE, 0)


async def test_texts_labels_and_pictures_under_one_key_are_three_operations(keyed: Gateway, ledger: Database) -> None:
    ask, secret = over_grpc(keyed), key(ledger)
    seen = annotator_pb2.AnnotateRequest(image=picture(), embedding=embedding_pb2.EmbeddingOptions())
    for _ in range(2):
        await ask(TEXTS, secret, "5f0c")
        await ask(LABEL, secret, "5f0c")
        await keyed.stub.Annotate(seen, metadata=tuple(headers(secret, "5f0c").items()))
    assert held(ledger) == (100 - 3 * PRICE, 0)


async def test_a_retry_after_a_failure_is_charged(ask: Ask, ledger: Database, fake: FakeTriton) -> None:
    secret, embed = key(ledger), fake.behaviours["text_embedder"]

    async def broken(request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.INTERNAL, "broken")

    fake.behaviours["text_embedder"] = broken
    assert await ask(TEXTS, secret, "5f0c") == "INTERNAL"
    fake.behaviours["text_embedder"] = embed
    assert await ask(TEXTS, secret, "5f0c") == PRICE
    assert await balance(ledger) == 100 - PRICE
