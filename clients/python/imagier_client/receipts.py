# SPDX-License-Identifier: Apache-2.0
"""Processing receipts: what a server states about its work on one picture, verified without the server.

Verifying needs the extra `receipts`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from google.protobuf.json_format import MessageToJson, Parse, ParseError
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from imagier.v1 import receipt_pb2

_CONTEXT = b"imagier.v1.ProcessingReceipt\0"


class ReceiptError(Exception):
    """A receipt that is not genuine, or not of this picture; or it cannot be read."""


@dataclass(frozen=True, slots=True)
class ReceiptKey:
    """A server's public key for receipts: 32 bytes. `key_id` is derived from it."""

    key_id: str
    public_key: bytes


@dataclass(frozen=True, slots=True)
class ModelReceipt:
    """A model that read the picture; `digest` is the SHA-256 of its weights."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class TaskReceipt:
    """A task and how it ended: `code` is 0 if it succeeded, else that of its status, and `reason` the server's constant."""

    task: str
    code: int
    reason: str
    models: tuple[ModelReceipt, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a server states. Times are its clock's; `released` is when it had given back the picture's memory, None if unknown."""

    image_hmac: bytes
    server_version: str
    server_digest: bytes
    tasks: tuple[TaskReceipt, ...]
    received: datetime
    decoded: datetime
    answered: datetime
    released: datetime | None
    key_id: str


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt as it came: its bytes, their signature, and the id of the key. `verify` says what is in it."""

    receipt: bytes
    signature: bytes
    key_id: str

    def to_json(self) -> str:
        """In protobuf's JSON form, as `imagier receipt verify` reads it."""
        return MessageToJson(
            receipt_pb2.SignedReceipt(receipt=self.receipt, signature=self.signature, key_id=self.key_id)
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> SignedReceipt:
        """Reads `to_json`. Raises ReceiptError."""
        try:
            message = Parse(text, receipt_pb2.SignedReceipt())
        except ParseError as error:
            raise ReceiptError("this is no signed receipt in JSON") from error
        if not message.receipt:
            raise ReceiptError("this is no signed receipt in JSON")
        return cls.of(message)

    @classmethod
    def of(cls, message: _Signed) -> SignedReceipt:
        """The value of the contract's message."""
        return cls(message.receipt, message.signature, message.key_id)

    def verify(
        self, keys: Iterable[ReceiptKey | bytes], image: bytes | None = None, nonce: bytes | None = None
    ) -> Receipt:
        """Returns what the receipt says, if one of `keys` has signed it. Raises ReceiptError, ImportError.

        With `image` (the file's bytes) and the `nonce` it was sent with, the receipt must be of that picture; without, it may be of
        any. Take the key from the server's catalogue before, not from whoever shows you the receipt.
        """
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - an extra
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

        if (image is None) != (nonce is None):
            raise ReceiptError("a picture and its nonce are needed together")
        publics = (key.public_key if isinstance(key, ReceiptKey) else key for key in keys)
        public = next((public for public in publics if key_id(public) == self.key_id), None)
        if public is None:
            raise ReceiptError("it is signed with none of these keys")
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(self.signature, _CONTEXT + self.receipt)
        except (InvalidSignature, ValueError) as error:
            raise ReceiptError("its signature is wrong: it was changed, or signed by somebody else") from error
        receipt = _parsed(self.receipt)
        if receipt.key_id != self.key_id:
            raise ReceiptError("it names another key than the one that signed it")
        if image is not None and nonce is not None:
            found = hmac.digest(nonce, image, "sha256")
            if not hmac.compare_digest(found, receipt.image_hmac):
                raise ReceiptError("it is of another picture, or of another nonce")
        return receipt


class _Signed(Protocol):
    receipt: bytes
    signature: bytes
    key_id: str


def key_id(public_key: bytes) -> str:
    """The id of a public key."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def _parsed(content: bytes) -> Receipt:
    try:
        message = receipt_pb2.ProcessingReceipt.FromString(content)
    except DecodeError as error:
        raise ReceiptError("it cannot be parsed") from error
    return Receipt(
        image_hmac=message.image_hmac,
        server_version=message.server_version,
        server_digest=message.server_digest,
        tasks=tuple(
            TaskReceipt(
                task.task,
                task.code,
                task.reason,
                tuple(ModelReceipt(model.name, model.version, model.digest) for model in task.models),
            )
            for task in message.tasks
        ),
        received=_time(message.received),
        decoded=_time(message.decoded),
        answered=_time(message.answered),
        released=_time(message.released) if message.HasField("released") else None,
        key_id=message.key_id,
    )


def _time(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(UTC)
