# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import dataclasses
import hmac
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.message import Message
from imagier.v1 import receipt_pb2
from imagier_client.receipts import ReceiptError, ReceiptKey, SignedReceipt, key_id

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
IMAGE, NONCE = b"a picture", b"n" * 16


def stated() -> receipt_pb2.ProcessingReceipt:
    made = receipt_pb2.ProcessingReceipt(
        image_hmac=hmac.digest(NONCE, IMAGE, "sha256"),
        server_version="0.1.0",
        server_digest=b"d" * 32,
        key_id=key_id(PUBLIC),
    )
    for seconds, name in enumerate(("received", "decoded", "answered", "released"), 1_800_000_000):
        getattr(made, name).FromSeconds(seconds)
    task = made.tasks.add(task="ocr", code=14, reason="ENGINE_UNAVAILABLE")
    task.models.add(name="text_detector", version="a 1", digest="ab")
    made.tasks.add(task="tags").models.add(name="tagger", version="b 1", digest="cd")
    return made


def signed(receipt: receipt_pb2.ProcessingReceipt, key: Ed25519PrivateKey = KEY) -> SignedReceipt:
    content = receipt.SerializeToString()
    return SignedReceipt(content, key.sign(b"imagier.v1.ProcessingReceipt\0" + content), key_id(PUBLIC))


def leaves(message: Message) -> list[tuple[Message, str]]:
    """Every field that is set, of the message and of those inside."""
    found: list[tuple[Message, str]] = []
    for field, value in message.ListFields():
        if field.message_type:
            for each in value if field.is_repeated else [value]:
                found += leaves(each)
        else:
            found.append((message, field.name))
    return found


def test_a_genuine_receipt_says_what_was_done() -> None:
    receipt = signed(stated()).verify([ReceiptKey(key_id(PUBLIC), PUBLIC)], IMAGE, NONCE)
    assert (receipt.server_version, receipt.received) == ("0.1.0", datetime.fromtimestamp(1_800_000_000, UTC))
    assert receipt.released == datetime.fromtimestamp(1_800_000_003, UTC)
    ocr, tags = receipt.tasks
    assert (ocr.task, ocr.code, ocr.reason, ocr.models[0].digest) == ("ocr", 14, "ENGINE_UNAVAILABLE", "ab")
    assert (tags.task, tags.code, tags.reason) == ("tags", 0, "")
    assert SignedReceipt.from_json(signed(stated()).to_json()).verify([PUBLIC]) == receipt


def test_a_change_of_any_field_is_noticed() -> None:
    genuine = signed(stated())
    count = len(leaves(stated()))
    assert count == 18
    for number in range(count):
        changed = stated()
        message, name = leaves(changed)[number]
        value = getattr(message, name)
        setattr(message, name, value + (1 if isinstance(value, int) else b"x" if isinstance(value, bytes) else "x"))
        with pytest.raises(ReceiptError, match="signature"):
            dataclasses.replace(genuine, receipt=changed.SerializeToString()).verify([PUBLIC])
    for name in ("received", "released", "tasks", "key_id"):
        changed = stated()
        changed.ClearField(name)
        with pytest.raises(ReceiptError, match="signature"):
            dataclasses.replace(genuine, receipt=changed.SerializeToString()).verify([PUBLIC])


def test_a_change_of_any_bit_is_noticed() -> None:
    genuine = signed(stated())
    for name in ("receipt", "signature"):
        content = getattr(genuine, name)
        for place in range(len(content)):
            changed = content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]
            with pytest.raises(ReceiptError):
                dataclasses.replace(genuine, **{name: changed}).verify([PUBLIC])
    for wrong in (b"", genuine.signature[:-1], genuine.signature + b"\0"):
        with pytest.raises(ReceiptError, match="signature"):
            dataclasses.replace(genuine, signature=wrong).verify([PUBLIC])


def test_of_another_picture_nonce_or_signer() -> None:
    genuine = signed(stated())
    for image, nonce in ((IMAGE + b"!", NONCE), (IMAGE, b"m" * 16)):
        with pytest.raises(ReceiptError, match="another picture"):
            genuine.verify([PUBLIC], image, nonce)
    with pytest.raises(ReceiptError, match="together"):
        genuine.verify([PUBLIC], IMAGE)
    other = Ed25519PrivateKey.generate()
    with pytest.raises(ReceiptError, match="none of these keys"):
        genuine.verify([other.public_key().public_bytes_raw()])
    with pytest.raises(ReceiptError, match="none of these keys"):
        dataclasses.replace(genuine, key_id="0" * 16).verify([PUBLIC])
    with pytest.raises(ReceiptError, match="somebody else"):
        signed(stated(), other).verify([PUBLIC])
    renamed = stated()
    renamed.key_id = "0" * 16
    with pytest.raises(ReceiptError, match="names another key"):
        signed(renamed).verify([PUBLIC])


def test_a_signature_of_something_else_is_none() -> None:
    content = stated().SerializeToString()
    with pytest.raises(ReceiptError, match="signature"):
        SignedReceipt(content, KEY.sign(content), key_id(PUBLIC)).verify([PUBLIC])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"receipt": 1}', '{"other": ""}'])
def test_what_is_no_receipt(text: str) -> None:
    with pytest.raises(ReceiptError, match="no signed receipt"):
        SignedReceipt.from_json(text)
