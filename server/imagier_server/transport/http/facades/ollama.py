# SPDX-License-Identifier: Apache-2.0
"""Ollama's API: generate and chat, and what its clients ask about models. `ollama` 0.6 for Python and Node.js set the shapes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imagier_server.errors import ImagierError, InvalidRequestError, ModelNotInstalledError
from imagier_server.transport.http.dialect.asking import (
    Body,
    ask,
    call_of,
    few,
    languages_of,
    last,
    model_of,
    models_of,
    read,
)
from imagier_server.transport.http.dialect.models import DialectModel
from imagier_server.transport.http.dialect.question import Question, of_any_json, of_schema
from imagier_server.transport.http.dialect.shape import Shape
from imagier_server.transport.http.door import Door
from imagier_server.transport.http.facades.facade import Endpoint, Facade
from imagier_server.transport.statuses import http_headers, http_status

_UNKNOWN_TIME = "1970-01-01T00:00:00Z"
"""Nobody knows when a set of tasks was modified, and clients want a time that they can read."""
_CAPABILITIES = ("completion", "vision")


class _Generate(Body):
    model: str
    images: Annotated[tuple[str, ...], BeforeValidator(few)] = ()
    prompt: str | None = None
    format: Any = None
    stream: bool | None = True


class _Message(Body):
    role: str = "user"
    images: Annotated[tuple[str, ...], BeforeValidator(few)] = ()


class _Chat(Body):
    model: str
    messages: Annotated[tuple[_Message, ...], BeforeValidator(last)] = ()
    format: Any = None
    stream: bool | None = True


class _Name(Body):
    model: str = ""
    name: str = ""


async def generate(request: Request, door: Door) -> Response:
    """POST /api/generate."""
    call = await call_of(request, door)
    document = await door.json(request, call)
    asked = read(_Generate, document.value)
    question = _question(asked, languages_of(request), door)
    if not asked.images and not asked.prompt:
        return _loaded(question, {"response": ""})
    annotation = await ask(question, asked.images, "images", document, door, call)
    text = question.answer(annotation)
    end = _end(question, annotation.timings.elapsed)
    if asked.stream is False:
        return JSONResponse({**end, "response": text})
    return _lines({**_head(question), "response": text, "done": False}, {**end, "response": ""})


async def chat(request: Request, door: Door) -> Response:
    """POST /api/chat."""
    call = await call_of(request, door)
    document = await door.json(request, call)
    asked = read(_Chat, document.value)
    question = _question(asked, languages_of(request), door)
    if not asked.messages:
        return _loaded(question, {"message": _said("")})
    # Clients repeat the conversation so far: the last picture is meant.
    pictures = next((message.images for message in reversed(asked.messages) if message.images), ())
    annotation = await ask(question, pictures, "messages", document, door, call)
    text = question.answer(annotation)
    end = _end(question, annotation.timings.elapsed)
    if asked.stream is False:
        return JSONResponse({**end, "message": _said(text)})
    return _lines({**_head(question), "message": _said(text), "done": False}, {**end, "message": _said("")})


async def tags(request: Request, door: Door) -> Response:
    """GET /api/tags: the models."""
    await call_of(request, door)
    return JSONResponse({"models": [_listed(model) for model in models_of(door).values()]})


async def show(request: Request, door: Door) -> Response:
    """POST /api/show: one model."""
    call = await call_of(request, door)
    asked = read(_Name, (await door.json(request, call)).value)
    model = model_of(door, asked.model or asked.name)
    roles = {role for task in model.tasks for role in task.models}
    licences = (f"{each.name}: {each.licence}" for each in door.catalogue().models if each.name in roles)
    return JSONResponse(
        {
            "license": "\n".join(licences),
            "modelfile": "",
            "parameters": "",
            "template": "",
            "details": _details(),
            "model_info": {"general.architecture": "imagier"},
            "capabilities": _CAPABILITIES,
            "modified_at": _UNKNOWN_TIME,
        }
    )


async def version(request: Request, door: Door) -> Response:
    """GET /api/version: our own."""
    await call_of(request, door)
    return JSONResponse({"version": door.catalogue().server_version})


async def embed(request: Request, door: Door) -> Response:
    """POST /api/embed, which has no model yet."""
    await call_of(request, door)
    raise ModelNotInstalledError("this server has no model for embeddings: it answers generate and chat")


def refuse(_request: Request, error: ImagierError) -> Response:
    """An error in Ollama's shape, which has no place for the field at fault but the text."""
    text = error.text if error.field is None or error.field in error.text else f"{error.field}: {error.text}"
    return JSONResponse({"error": text}, http_status(error), http_headers(error))


def _question(asked: _Generate | _Chat, languages: tuple[str, ...], door: Door) -> Question:
    model = model_of(door, asked.model)
    return Question(model, _fields(model, asked.format), languages)


def _fields(model: DialectModel, wanted: object) -> Mapping[str, Shape] | None:
    if wanted in (None, ""):
        return None
    if wanted == "json":
        return of_any_json(model)
    if isinstance(wanted, str):
        raise InvalidRequestError("the format is json or a JSON schema", field="format")
    return of_schema(model, wanted, "format")


def _head(question: Question) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {"model": question.model.name, "created_at": now}


def _end(question: Question, seconds: float) -> dict[str, Any]:
    """The last line. Ollama leaves counts of tokens out where there are none, and here there are none."""
    return {**_head(question), "done": True, "done_reason": "stop", "total_duration": round(seconds * 1e9)}


def _loaded(question: Question, nothing: Mapping[str, Any]) -> Response:
    """A request without a prompt and a picture loads the model; ours are."""
    return JSONResponse({**_head(question), **nothing, "done": True, "done_reason": "load"})


def _said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def _lines(*lines: Mapping[str, Any]) -> Response:
    return Response("".join(f"{json.dumps(line)}\n" for line in lines), media_type="application/x-ndjson")


def _listed(model: DialectModel) -> dict[str, Any]:
    name = f"{model.name}:latest"
    about = {"modified_at": _UNKNOWN_TIME, "size": 0, "digest": model.digest, "details": _details()}
    return {"name": name, "model": name, **about}


def _details() -> dict[str, Any]:
    family = {"format": "onnx", "family": "imagier", "families": ["imagier"]}
    return {"parent_model": "", **family, "parameter_size": "", "quantization_level": ""}


FACADE = Facade(
    "ollama",
    (
        Endpoint("/api/generate", generate),
        Endpoint("/api/chat", chat),
        Endpoint("/api/tags", tags, ("GET",)),
        Endpoint("/api/show", show),
        Endpoint("/api/version", version, ("GET",)),
        Endpoint("/api/embed", embed),
        Endpoint("/api/embeddings", embed),
    ),
    refuse,
)
