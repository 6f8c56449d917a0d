# SPDX-License-Identifier: Apache-2.0
"""PhotoPrism's own vision service: labels and a caption with scores, as its packages internal/ai/vision and internal/api have them.

Read at 0214335 of October 2026. It reads statuses in the body, and takes a result without anything in it for a failure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imagier_server.errors import ImagierError, ModelNotInstalledError
from imagier_server.messages import TaskOutcome
from imagier_server.transport.codecs.words import Said
from imagier_server.transport.http.dialect.asking import Body, ask, call_of, few, languages_of, models_of, read
from imagier_server.transport.http.dialect.models import words_of
from imagier_server.transport.http.dialect.question import Question
from imagier_server.transport.http.door import Door
from imagier_server.transport.http.facades.facade import Endpoint, Facade
from imagier_server.transport.statuses import http_headers, http_status

_PREFIX = "/api/v1/vision"
_ID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)


class _Asked(Body):
    id: str = ""
    images: Annotated[tuple[str, ...], BeforeValidator(few)] = ()
    url: str = ""


async def labels(request: Request, door: Door) -> Response:
    """POST /api/v1/vision/labels. Relevance is not measured apart: a label's topicality is its confidence."""
    asked, outcome, said = await _read(request, door, "labels")
    found = [
        {"name": each.text, "source": "image", "confidence": round(each.score, 4), "topicality": round(each.score, 4)}
        for each in said
    ]
    return _answer(asked, "labels", outcome, {"labels": found})


async def caption(request: Request, door: Door) -> Response:
    """POST /api/v1/vision/caption."""
    asked, outcome, said = await _read(request, door, "caption")
    found = [{"text": each.text, "confidence": round(each.score, 4)} for each in said]
    return _answer(asked, "caption", outcome, {"caption": found[0]} if found else {})


async def other(request: Request, door: Door) -> Response:
    """POST /api/v1/vision/nsfw and /face, which no task of ours answers."""
    await call_of(request, door)
    raise ModelNotInstalledError("this server answers labels and captions only: set no other type to use it")


def refuse(_request: Request, error: ImagierError) -> Response:
    """An error in PhotoPrism's shape."""
    status = http_status(error)
    return JSONResponse({"code": status, "error": error.text, "result": {}}, status, http_headers(error))


async def _read(request: Request, door: Door, field: str) -> tuple[_Asked, TaskOutcome, Sequence[Said]]:
    call = await call_of(request, door)
    door.knock(call)
    document = await door.json(request, call)
    asked = read(_Asked, document.value)
    models = (model for model in models_of(door).values() if len(model.tasks) == 1 and field in model.fields)
    if (model := next(models, None)) is None:
        raise ModelNotInstalledError("this server does not offer it: its model is not installed")
    question = Question(model, None, languages_of(request))
    pictures = asked.images or ((asked.url,) if asked.url else ())
    annotation = await ask(question, pictures, "images", document, door, call)
    (task,) = question.tasks
    outcome = annotation.outcomes[task]
    if outcome.error:
        raise outcome.error
    return asked, outcome, words_of(task).fields[field].read(outcome.result, question.languages)


def _answer(asked: _Asked, kind: str, outcome: TaskOutcome, result: dict[str, Any]) -> Response:
    name, _, version = outcome.models[0].version.partition(" ")
    content = {"code": 200, "model": {"type": kind, "name": name, "version": version}, "result": result}
    return JSONResponse({"id": asked.id if _ID.fullmatch(asked.id) else "", **content})


FACADE = Facade(
    "photoprism",
    (
        Endpoint(f"{_PREFIX}/labels", labels),
        Endpoint(f"{_PREFIX}/caption", caption),
        Endpoint(f"{_PREFIX}/nsfw", other),
        Endpoint(f"{_PREFIX}/face", other),
    ),
    refuse,
)
