# SPDX-License-Identifier: Apache-2.0
"""One line of JSON for each picture: the reply in protobuf's JSON mapping, or the error."""

from __future__ import annotations

import json
from collections.abc import MutableSequence
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, json_format
from google.protobuf import message as protobuf
from imagier.v1.annotator_pb2 import AnnotateResponse

from imagier_client.errors import ImagierClientError
from imagier_client.messages import Annotation
from imagier_client.tasks import envelope


def to_line(path: Path, outcome: Annotation | ImagierClientError) -> str:
    """`{"path": …, "response": …}` or `{"path": …, "error": {code, reason, message, retryable, field?, retryAfter?}}`, no newline.

    Empty lists and zeros are written out, so that a reader need not ask whether a field is there.
    """
    response: dict[str, Any] = {}
    if isinstance(outcome, Annotation):
        try:
            response = _mapping(outcome.message)
        except (json_format.Error, protobuf.DecodeError):
            # No server of ours says what JSON has no form for; one picture's line is no reason to stop.
            outcome = ImagierClientError("the answer has no form in JSON", code="INTERNAL")
    if isinstance(outcome, ImagierClientError):
        error: dict[str, Any] = {
            "code": outcome.code,
            "reason": outcome.reason,
            "message": outcome.message,
            "retryable": outcome.retryable,
        }
        if outcome.field is not None:
            error["field"] = outcome.field
        if outcome.retry_after is not None:
            error["retryAfter"] = outcome.retry_after
        content = {"path": str(path), "error": error}
    else:
        content = {"path": str(path), "response": response}
    return dumps(content)


def dumps(content: Any) -> str:
    """One line of JSON in which everything that is no printable character is escaped: whatever reads lines, or shows them, is safe.

    A byte of a file name that is not UTF-8 appears as Python holds it, a lone surrogate.
    """
    return "".join(map(_escaped, json.dumps(content, ensure_ascii=False)))


def _escaped(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]


def _mapping(message: AnnotateResponse) -> dict[str, Any]:
    known = AnnotateResponse()
    known.CopyFrom(message)
    # The mapping of an Any needs its type; a newer server may send some that we have never heard of.
    _keep_known(known.extensions)
    for name, result in envelope.results(known).items():
        _keep_known(result.status.details)
        envelope.answer(known, name, result)
    return json_format.MessageToDict(known, always_print_fields_with_no_presence=True)


def _keep_known(packed: MutableSequence[Any]) -> None:
    kept = [one for one in packed if _is_known(one.TypeName())]
    if len(kept) != len(packed):  # clearing an empty list would make the message that it is in exist
        del packed[:]
        packed.extend(kept)


def _is_known(type_name: str) -> bool:
    try:
        descriptor_pool.Default().FindMessageTypeByName(type_name)
    except KeyError:
        return False
    return True
