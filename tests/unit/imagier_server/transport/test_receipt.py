# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from imagier.v1 import receipt_pb2
from imagier_server.errors import EngineUnavailableError
from imagier_server.messages import ModelReference, ProcessingReceipt, TaskOutcome
from imagier_server.transport.receipt import serialize


def test_every_statement_is_in_the_message() -> None:
    models = (ModelReference("tagger", "a 1"),)
    stated = ProcessingReceipt(
        image_hmac=b"h" * 32,
        server_version="1.2",
        server_digest=b"d" * 32,
        outcomes={
            "tags": TaskOutcome(models, result=object()),
            "ocr": TaskOutcome((), error=EngineUnavailableError("down")),
        },
        digests={"tagger": "ab"},
        received=1_800_000_000.25,
        decoded=1_800_000_000.5,
        answered=1_800_000_001.0,
        released=None,
        key_id="0123456789abcdef",
    )
    message = receipt_pb2.ProcessingReceipt.FromString(serialize(stated))
    ocr, tags = message.tasks
    assert (ocr.task, ocr.code, ocr.reason, list(ocr.models)) == ("ocr", 14, "ENGINE_UNAVAILABLE", [])
    assert (tags.task, tags.code, tags.reason) == ("tags", 0, "")
    assert (tags.models[0].name, tags.models[0].version, tags.models[0].digest) == ("tagger", "a 1", "ab")
    assert (message.received.seconds, message.received.nanos) == (1_800_000_000, 250_000_000)
    assert not message.HasField("released")
    filled = {field.name for field, _ in message.ListFields()}
    assert filled == {field.name for field in message.DESCRIPTOR.fields} - {"released"}
