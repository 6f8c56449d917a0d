# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from imagier_server.errors import EngineUnavailableError, InvalidRequestError
from imagier_server.messages import AnnotateRequest, ModelReference, ProcessingReceipt, TaskOutcome
from imagier_server.receipts import ReceiptKeyError, Signer, read_key, server_digest
from imagier_server.recording import Record
from imagier_server.transport.receipt import serialize
from support.receipts import signing_key


def signer(written: list[ProcessingReceipt] | None = None) -> Signer:
    def keep(receipt: ProcessingReceipt) -> bytes:
        (written if written is not None else []).append(receipt)
        return serialize(receipt)

    return Signer(Ed25519PrivateKey.generate(), "1.2", {"tagger": "ab"}, keep)


def test_what_is_signed_depends_on_what_was_done_alone() -> None:
    written: list[ProcessingReceipt] = []
    made, record = signer(written), Record()
    models = (ModelReference("tagger", "a 1"),)
    record.outcomes = {
        "tags": TaskOutcome(models, result="a secret result", cost=1),
        "ocr": TaskOutcome((), error=EngineUnavailableError("down")),
    }
    signed = made.sign(b"h" * 32, record, record.received + 1, None)
    assert signed == made.sign(b"h" * 32, record, record.received + 1, None)
    assert signed.key_id == made.key.key_id == hashlib.sha256(made.key.public_key).hexdigest()[:16]
    assert b"secret" not in signed.receipt
    assert (written[0].released, written[0].server_digest) == (None, server_digest())
    backwards = Record()
    backwards.received, backwards.decoded = record.received, record.decoded
    backwards.outcomes = dict(reversed(record.outcomes.items()))
    assert made.sign(b"h" * 32, backwards, record.received + 1, None) == signed


def test_the_picture_is_known_by_the_nonce_only() -> None:
    made = signer()
    one, other = (made.fingerprint(AnnotateRequest(b"picture", {}, nonce=nonce)) for nonce in (b"a" * 16, b"b" * 16))
    assert one != other
    assert len(one) == 32
    for length in (0, 15, 65):
        with pytest.raises(InvalidRequestError) as raised:
            made.check(bytes(length))
        assert raised.value.field == "processing_receipt.nonce"
    for length in (16, 64):
        made.check(bytes(length))


def test_the_digest_is_of_every_module(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one")
    digests = {server_digest(tmp_path)}
    (tmp_path / "a.py").write_text("two")
    digests.add(server_digest(tmp_path))
    (tmp_path / "b.py").write_text("")
    digests.add(server_digest(tmp_path))
    (tmp_path / "b.py").rename(tmp_path / "c.py")
    digests.add(server_digest(tmp_path))
    assert len(digests) == 4


def test_keys_that_cannot_sign_say_what_is_needed(tmp_path: Path) -> None:
    assert isinstance(read_key(signing_key(tmp_path)), Ed25519PrivateKey)
    other = tmp_path / "other.pem"
    other.write_bytes(
        generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense")
    for path, said in ((other, "keygen"), (nonsense, "keygen"), (tmp_path / "away", "cannot be read")):
        with pytest.raises(ReceiptKeyError, match=said):
            read_key(path)
