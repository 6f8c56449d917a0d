# SPDX-License-Identifier: Apache-2.0
"""Processing receipts of a running gateway: genuine, of that picture, and signed once its memory is given back."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
import httpx2 as httpx
import pytest
from imagier.v1 import annotator_pb2, catalog_pb2
from imagier_client import InvalidRequestError, Tags
from imagier_client.cli import main
from imagier_client.cli.command import ALL_GOOD, NO_SERVER
from imagier_client.receipts import SignedReceipt
from imagier_server.ledger import keys
from imagier_server.ledger.database import Database
from imagier_server.ledger.keys import Wish
from imagier_server.receipts import server_digest
from support.both_clients import Kind
from support.fake_triton import FakeTriton, refusing, serving
from support.receipts import signing_key
from support.running_gateway import Gateway, details, gateway, picture, status_of, tags_and_text


@pytest.fixture
async def signing(repository: Path, fake: FakeTriton, unused_tcp_port: int, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with (
        serving(fake) as port,
        gateway(repository, port, unused_tcp_port, receipt_key=signing_key(tmp_path)) as running,
    ):
        await running.until(ready=True)
        yield running


def asking(image: bytes, nonce: bytes, request_id: str = "") -> annotator_pb2.AnnotateRequest:
    request = tags_and_text(image, request_id)
    request.processing_receipt.nonce = nonce
    return request


async def test_a_receipt_says_what_was_done_and_that_memory_was_given_back(signing: Gateway) -> None:
    catalog = await signing.stub.GetCatalog(catalog_pb2.GetCatalogRequest())
    image, nonce = picture(), secrets.token_bytes(32)
    answer = await signing.stub.Annotate(asking(image, nonce))
    receipt = SignedReceipt.of(answer.processing_receipt).verify([catalog.receipt_key.public_key], image, nonce)
    assert receipt.key_id == catalog.receipt_key.key_id
    assert (receipt.server_version, receipt.server_digest) == (version("imagier"), server_digest())
    assert receipt.released is not None
    assert receipt.received <= receipt.decoded <= receipt.answered <= receipt.released
    assert [(task.task, task.code) for task in receipt.tasks] == [("ocr", 0), ("tags", 0)]
    digests = {model.name: model.digest for model in catalog.models}
    found = {model.name: model.digest for task in receipt.tasks for model in task.models}
    assert found
    assert found == {name: digests[name] for name in found}
    assert nonce not in answer.SerializeToString(), "whoever has the receipt alone cannot say of which picture it is"
    assert hashlib.sha256(image).digest() not in answer.SerializeToString()


async def test_a_task_that_failed_is_stated(signing: Gateway, fake: FakeTriton) -> None:
    fake.behaviours["tagger"] = refusing(grpc.StatusCode.INTERNAL, "no")
    answer = await signing.stub.Annotate(asking(picture(), secrets.token_bytes(16)))
    catalog = await signing.stub.GetCatalog(catalog_pb2.GetCatalogRequest())
    receipt = SignedReceipt.of(answer.processing_receipt).verify([catalog.receipt_key.public_key])
    (tags,) = (task for task in receipt.tasks if task.task == "tags")
    assert (tags.code, tags.reason) == (answer.tags.status.code, details(answer.tags.status)["ErrorInfo"].reason)
    assert tags.code != 0
    assert receipt.released is not None


async def test_each_picture_of_a_stream_has_its_own(signing: Gateway) -> None:
    pictures = [picture(size=(64 + number, 64)) for number in range(6)]
    nonces = [secrets.token_bytes(16) for _ in pictures]

    async def requests() -> AsyncIterator[annotator_pb2.AnnotateStreamRequest]:
        for number, (image, nonce) in enumerate(zip(pictures, nonces, strict=True)):
            yield annotator_pb2.AnnotateStreamRequest(request=asking(image, nonce, str(number)))

    catalog = await signing.stub.GetCatalog(catalog_pb2.GetCatalogRequest())
    seen = set()
    async for answer in signing.stub.AnnotateStream(requests()):
        number = int(answer.request_id)
        signed = SignedReceipt.of(answer.response.processing_receipt)
        receipt = signed.verify([catalog.receipt_key.public_key], pictures[number], nonces[number])
        assert receipt.released is not None
        seen.add(number)
    assert seen == set(range(6))


async def test_both_clients_ask_for_one_for_each_picture(signing: Gateway, kind: Kind) -> None:
    pictures = {number: picture(size=(64 + number, 64)) for number in range(6)}
    nonces = {number: secrets.token_bytes(16) for number in pictures}
    async with kind(signing.address) as client:
        key = (await client.catalog()).receipt_key
        answers = await client.many(pictures.items(), Tags(), receipt_nonce=nonces.__getitem__)
        for number, answer in answers:
            assert answer.receipt.verify([key], pictures[number], nonces[number]).tasks
        assert len(answers) == 6
        ((_, short),) = await client.many([(0, pictures[0])], Tags(), receipt_nonce=lambda _: b"short")
        assert short.field == "processing_receipt.nonce"
        ((_, wrong),) = await client.many([(0, pictures[0])], Tags(), receipt_nonce=lambda _: 5)
        assert isinstance(wrong, InvalidRequestError)
        with pytest.raises(InvalidRequestError, match="each picture"):
            await client.many([(0, pictures[0])], Tags(), receipt_nonce=nonces[0])


async def test_v1_gives_one_for_a_nonce_in_hexadecimal(signing: Gateway) -> None:
    image, nonce = picture(), secrets.token_bytes(32)
    encoded = base64.b64encode(image).decode()
    async with httpx.AsyncClient(base_url=signing.http, trust_env=False, timeout=30) as client:
        public = (await client.get("/v1/catalog")).json()["receiptKey"]["publicKey"]
        for asked in (
            client.post(f"/v1/annotate?tasks=tags&receipt_nonce={nonce.hex()}", content=image),
            client.post("/v1/annotate?tasks=tags", files={"image": image}, data={"receipt_nonce": nonce.hex()}),
            client.post("/v1/annotate", json={"image": encoded, "tags": {}, "receipt_nonce": nonce.hex()}),
        ):
            signed = SignedReceipt.from_json(json.dumps((await asked).json()["processingReceipt"]))
            signed.verify([base64.b64decode(public)], image, nonce)
        for wrong in ("0g" * 32, "abc", nonce.hex()[:30]):
            answer = await client.post(f"/v1/annotate?tasks=tags&receipt_nonce={wrong}", content=image)
            assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_REQUEST")
            assert "nonce" in answer.json()["field"]
        answer = await client.post("/v1/annotate", json={"image": encoded, "tags": {}, "receipt_nonce": 7})
        assert (answer.status_code, answer.json()["field"]) == (400, "receipt_nonce")
        annotate = (await client.get("/openapi.json")).json()["paths"]["/v1/annotate"]["post"]
    assert "receipt_nonce" in {parameter["name"] for parameter in annotate["parameters"]}


async def test_the_public_key_of_a_server_that_needs_a_key(
    repository: Path, fake: FakeTriton, unused_tcp_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Database(str(tmp_path / "ledger.db"))) as ledger:
        ledger.migrate()
        with ledger.writing() as connection:
            _, secret = keys.create(connection, Wish("library"))
    public = signing_key(tmp_path)
    async with (
        serving(fake) as port,
        gateway(repository, port, unused_tcp_port, receipt_key=public, ledger=ledger.where) as keyed,
    ):
        assert await asyncio.to_thread(main, ["receipt", "key", keyed.address]) == NO_SERVER
        assert "this server needs a key" in capsys.readouterr().err
        assert await asyncio.to_thread(main, ["receipt", "key", keyed.address, "--key", secret]) == ALL_GOOD
    assert capsys.readouterr().out.startswith("ed25519 ")


@pytest.mark.parametrize("length", [0, 15, 65])
async def test_a_nonce_of_another_length_is_refused(signing: Gateway, length: int) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await signing.stub.Annotate(asking(picture(), bytes(length)))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert details(status_of(raised.value))["BadRequest"].field_violations[0].field == "processing_receipt.nonce"


async def test_without_a_key_there_are_none(running: Gateway) -> None:
    assert not (await running.stub.GetCatalog(catalog_pb2.GetCatalogRequest())).HasField("receipt_key")
    assert not (await running.stub.Annotate(tags_and_text(picture()))).HasField("processing_receipt")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await running.stub.Annotate(asking(picture(), bytes(16)))
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    found: dict[str, Any] = details(status_of(raised.value))
    assert found["ErrorInfo"].reason == "RECEIPTS_NOT_OFFERED"
    assert "RetryInfo" not in found
