# SPDX-License-Identifier: Apache-2.0
"""Processing receipts of a running gateway: genuine, of that picture, and signed once its memory is given back."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
import pytest
from imagier.v1 import annotator_pb2, catalog_pb2
from imagier_client.receipts import SignedReceipt
from imagier_server.receipts import server_digest
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
