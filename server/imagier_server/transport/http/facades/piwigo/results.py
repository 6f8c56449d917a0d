# SPDX-License-Identifier: Apache-2.0
"""Writes results as the plugin reads them, from a list of tickets and as the form of a callback."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from imagier_server.tasks.embedding.values import NAME as VECTOR
from imagier_server.tasks.embedding.values import Embedding
from imagier_server.tickets.desk import Kept
from imagier_server.tickets.ticket import Answer, UnsealingSeal
from imagier_server.transport.http.dialect.models import words_of
from imagier_server.transport.http.facades.piwigo.asked import DIMENSION

_LOST = "the server was restarted before this picture had been read: send it again"
_SHUT = "this result was sealed with another key: send the picture again"


def written(ticket: str, answer: Answer, languages: Sequence[str]) -> bytes:
    """The plugin's ticket object in JSON. A task that failed is left out; if all have, the ticket has `failed`."""
    content: dict[str, Any] = {
        "ticket_id": ticket,
        "cost": answer.cost,
        "process_time": f"{answer.seconds:.2f} s",
    }
    results = {task: outcome.result for task, outcome in answer.outcomes.items() if outcome.error is None}
    vector = results.pop(VECTOR, None)
    said = {task: words_of(task).plain(result, languages) for task, result in results.items()}
    if not said and vector is None:
        content["failed"] = next(outcome.error.text for outcome in answer.outcomes.values() if outcome.error)
        return json.dumps(content).encode()
    # Both are there even if empty: the plugin looks at them without asking whether they exist.
    content["description"] = next((each.text for each in said.get("caption", ())), None)
    content["ocr"] = (
        [{"text": each.text, "confidence": round(each.score, 4)} for each in said["ocr"]] if "ocr" in said else None
    )
    # An empty string would become a tag without a name.
    if tags := _tags([each.text for each in said.get("tags", ())]):
        content["tags"] = tags
    if isinstance(vector, Embedding) and len(vector.vector.values) == DIMENSION:
        content["embedding"] = json.dumps([round(number, 8) for number in vector.vector.values], separators=(",", ":"))
    return json.dumps(content, ensure_ascii=False).encode()


def opened(kept: Sequence[Kept], seal: UnsealingSeal) -> list[dict[str, Any]]:
    """The ticket objects of a list."""
    found = []
    for each in kept:
        document = seal.open(each.id, each.sealed) if each.sealed is not None else None
        if document is None:
            failed = _LOST if each.sealed is None else _SHUT
            found.append({"ticket_id": each.id, "cost": 0, "process_time": "", "failed": failed})
        else:
            found.append(json.loads(document))
    return found


def form(document: bytes, account: str) -> dict[str, str]:
    """The fields of a callback: what is empty is left out, the text of a picture is JSON in a string, the cost a whole number."""
    content: Mapping[str, Any] = json.loads(document)
    fields = {"account_id": account}
    for name, value in content.items():
        if isinstance(value, list):
            if value:
                fields[name] = json.dumps(value, ensure_ascii=False)
        elif value is not None:
            fields[name] = str(value)
    return fields


def _tags(names: Sequence[str]) -> str:
    """One string with commas between the tags: a comma within one would make two of it."""
    plain = (" ".join(name.replace(",", " ").split()) for name in names)
    return ",".join(dict.fromkeys(name for name in plain if name))
