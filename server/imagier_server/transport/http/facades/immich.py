# SPDX-License-Identifier: Apache-2.0
"""The API of Immich's machine learning, versions 2.2 to 3.2: `/predict`, `/ping` and `/`; a key may ride in the path."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from imagier_server.errors import (
    DrainingError,
    EngineUnavailableError,
    ImagierError,
    InvalidImageError,
    InvalidRequestError,
    ModelNotInstalledError,
)
from imagier_server.logs import log
from imagier_server.settings import Settings
from imagier_server.transport.http.bodies import fields
from imagier_server.transport.http.door import Door
from imagier_server.transport.http.facades.facade import Endpoint, Facade
from imagier_server.transport.http.immich import clip, entries, upstream
from imagier_server.transport.http.immich.arriving import begin
from imagier_server.transport.http.immich.entries import Models, ModelTask
from imagier_server.transport.http.immich.ours import answer, served
from imagier_server.transport.http.immich.upstream import Answer, Form, Upstream, made_form
from imagier_server.transport.statuses import http_headers, http_status

NAME = "immich"
_FACES, _VECTORS = ("facialRecognition",), ("clip", "duplicateDetection")
"""What Immich calls, in `machineLearning` of its settings, the jobs that need faces, and those that need vectors."""

_RECODED = {"content-encoding", "transfer-encoding"}
"""With these the length of a body is not what arrives in chunks."""


async def hello(_request: Request, _door: Door) -> Response:
    """GET /."""
    return JSONResponse({"message": "Immich ML"}, headers={"vary": "accept"})


async def ping(_request: Request, door: Door) -> Response:
    """GET /ping. Immich takes any 2xx within 2 s for healthy, and asks those that are not last."""
    if door.gateway.draining.begun:
        raise DrainingError("the server is shutting down")
    if not door.gateway.ready():
        raise EngineUnavailableError("a model is not ready")
    return PlainTextResponse("pong")


async def _predict(request: Request, door: Door, native: Upstream | None) -> Response:
    """POST /predict. All is answered, or nothing.

    Immich's caller reads a task that an answer lacks as undefined, and fails later; at an error it asks its next server.
    """
    call = await door.call_of(request, secret=request.path_params.get("key"))
    async with door.arriving(request, call) as chunks:
        kind = request.headers.get("content-type", "")
        arriving = await begin(chunks, kind)
        wanted = entries.read(arriving.entries) if arriving.entries is not None else {}
        if native and wanted and not served(wanted, door.space, relayed=True):
            length = request.headers.get("content-length") if _RECODED.isdisjoint(request.headers.keys()) else None
            return _passed_on(await native.predict(Form(kind, arriving.chunks, length), wanted))
        form = await fields(request, arriving.chunks)
    wanted = entries.read(form.get(entries.FIELD))
    given = await _given(form)
    ours = served(wanted, door.space, relayed=native is not None)
    theirs = {task: models for task, models in wanted.items() if task not in ours}
    if not theirs:
        return _json(await answer(ours, given, door, call))
    if native is None:
        raise _not_served(*next(iter(theirs.items())), door)
    # First, as it costs nothing: if it fails, our work would have been charged for an answer that nobody gets.
    relayed = await native.predict(made_form(theirs, given), theirs)
    if not ours:
        return _passed_on(relayed)
    return _json({**relayed.value, **await answer(ours, given, door, call)})


def _not_served(task: ModelTask, models: Models, door: Door) -> ModelNotInstalledError:
    if task is ModelTask.CLIP:
        return clip.refusal(models, door.space)
    return ModelNotInstalledError(
        "this server does not have the model asked for: name one that it has, switch the job off in Immich, or relay it to a"
        " native Immich machine learning (--immich-upstream)",
        field=f"{entries.FIELD}.{task}",
    )


def _passed_on(relayed: Answer) -> Response:
    return Response(relayed.content, media_type="application/json")


async def _given(form: FormData) -> Mapping[str, bytes | str]:
    """The image, or else the text. Raises `InvalidRequestError`."""
    if isinstance(image := form.get("image"), UploadFile):
        content = await image.read()
        if not content:
            raise InvalidImageError("the image is empty")
        return {"image": content}
    if isinstance(text := form.get("text"), str):
        return {"text": text}
    raise InvalidRequestError("Either image or text must be provided")


def _json(value: Mapping[str, Any]) -> Response:
    # Escaped: what a native Immich answers may hold half of a surrogate pair.
    return Response(json.dumps(value, separators=(",", ":")), media_type="application/json")


def refuse(_request: Request, error: ImagierError) -> Response:
    """An error in the shape of Immich's server, which FastAPI makes."""
    headers = http_headers(error)
    if isinstance(error, entries.MissingEntriesError):
        fault = {"type": "missing", "loc": ["body", entries.FIELD], "msg": error.text, "input": None}
        return JSONResponse({"detail": [fault]}, HTTPStatus.UNPROCESSABLE_ENTITY, headers)
    if isinstance(error, entries.EntriesError):
        return JSONResponse({"detail": error.text}, HTTPStatus.UNPROCESSABLE_ENTITY, headers)
    text = error.text if error.field is None or error.field in error.text else f"{error.field}: {error.text}"
    return JSONResponse({"detail": text}, http_status(error), headers)


@asynccontextmanager
async def opened(door: Door, settings: Settings) -> AsyncIterator[tuple[Endpoint, ...]]:
    """The endpoints, with the connections to a native Immich. Without one, the log says what to switch off."""
    if settings.immich_upstream is None:
        switch_off = [f"machineLearning.{job}.enabled" for job in (*_FACES, *(() if door.space else _VECTORS))]
        log(logging.WARNING, "no immich_upstream: switch off in Immich what is not served here", switch_off=switch_off)
    async with upstream.opened(settings.immich_upstream, settings.immich_seconds) as native:

        async def predict(request: Request, door: Door) -> Response:
            return await _predict(request, door, native)

        yield (
            Endpoint("/predict", predict, at_root=True),
            Endpoint("/{key}/predict", predict),
            Endpoint("/ping", ping, ("GET",), at_root=True),
            Endpoint("/{key}/ping", ping, ("GET",)),
            Endpoint("/", hello, ("GET",), at_root=True, browsers=False),
            Endpoint("/{key}/", hello, ("GET",)),
        )


FACADE = Facade(NAME, (), refuse, "/immich", opened)
