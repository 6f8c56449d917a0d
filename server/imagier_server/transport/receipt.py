# SPDX-License-Identifier: Apache-2.0
"""Renders processing receipts as the contract's messages."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp
from imagier.v1 import receipt_pb2

from imagier_server.messages import ProcessingReceipt, ReceiptKey, SignedReceipt, TaskOutcome
from imagier_server.transport.statuses import STATUSES


def serialize(receipt: ProcessingReceipt) -> bytes:
    """The bytes to sign."""
    return receipt_pb2.ProcessingReceipt(
        image_hmac=receipt.image_hmac,
        server_version=receipt.server_version,
        server_digest=receipt.server_digest,
        tasks=[_task(name, outcome, receipt) for name, outcome in sorted(receipt.outcomes.items())],
        received=_time(receipt.received),
        decoded=_time(receipt.decoded),
        answered=_time(receipt.answered),
        released=None if receipt.released is None else _time(receipt.released),
        key_id=receipt.key_id,
    ).SerializeToString(deterministic=True)


def to_signed(signed: SignedReceipt) -> receipt_pb2.SignedReceipt:
    """The message with receipt and signature."""
    return receipt_pb2.SignedReceipt(receipt=signed.receipt, signature=signed.signature, key_id=signed.key_id)


def to_key(key: ReceiptKey) -> receipt_pb2.ReceiptKey:
    """The message with the public key."""
    return receipt_pb2.ReceiptKey(key_id=key.key_id, public_key=key.public_key)


def _task(name: str, outcome: TaskOutcome, receipt: ProcessingReceipt) -> receipt_pb2.TaskReceipt:
    return receipt_pb2.TaskReceipt(
        task=name,
        code=STATUSES[outcome.error.code].number if outcome.error else 0,
        reason=outcome.error.reason if outcome.error else "",
        models=[
            receipt_pb2.ModelReceipt(name=model.name, version=model.version, digest=receipt.digests.get(model.name, ""))
            for model in outcome.models
        ],
    )


def _time(seconds: float) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromMicroseconds(round(seconds * 1e6))
    return timestamp
