# SPDX-License-Identifier: Apache-2.0
"""MT-Photos' AI service, of which text and vectors: as mt-photos-ai (64a1de7), and its fork with faces (62d370a), answer.

Numbers are strings, and a picture that cannot be read is no failure but HTTP 200 without a result. What may succeed later is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from imagier_server.call import CallContext
from imagier_server.errors import Code, ImagierError, InvalidImageError, LongSideError, ModelNotInstalledError
from imagier_server.tasks.embedding.values import Embedding, EmbedTextRequest, Vector
from imagier_server.tasks.ocr.values import Text, TextLine
from imagier_server.transport.http.asking import asked
from imagier_server.transport.http.door import Door
from imagier_server.transport.http.facades.facade import Endpoint, Facade
from imagier_server.transport.statuses import http_headers, http_status

_KEY = "api-key"
_FILE = "file"
_LONGEST_SIDE = 10_000
"""Pixels: the program's own service reads no text in longer pictures."""
_PAGE = "<!doctype html><title>Imagier</title><p>Imagier answers MT-Photos at this address."


async def page(request: Request, door: Door) -> Response:
    """GET /: something to see in a browser, without a key."""
    del request, door
    return HTMLResponse(_PAGE)


async def ping(request: Request, door: Door) -> Response:
    """GET /ping, which the fork has, without a key."""
    del request, door
    return PlainTextResponse("pong")


async def check(request: Request, door: Door) -> Response:
    """POST /check: whether the server answers, and the key is right if there is one: the fork's is asked without."""
    if _KEY in request.headers:
        await _call(request, door)
    return JSONResponse({"result": "pass", "title": "Imagier"})


async def ocr(request: Request, door: Door) -> Response:
    """POST /ocr: the lines of text in the field `file`, in reading order, in pixels of the upright picture."""
    call = await _call(request, door)
    with door.batch(call) as waiting:
        image = await _file(request, door, waiting)
        if image is None:
            return _incomplete("body", _FILE)
        wanted = replace(asked(image, {"ocr": {}}), longest_side=_LONGEST_SIDE)
        outcome = (await door.annotate(wanted, waiting)).outcomes["ocr"]
    if outcome.error:
        raise outcome.error
    return JSONResponse({"result": _lines(cast("Text", outcome.result).lines)})


async def clip_image(request: Request, door: Door) -> Response:
    """POST /clip/img: the vector of the picture in the field `file`."""
    call = await _call(request, door)
    with door.batch(call) as waiting:
        image = await _file(request, door, waiting)
        if image is None:
            return _incomplete("body", _FILE)
        outcome = (await door.annotate(asked(image, {"embedding": {}}), waiting)).outcomes["embedding"]
    if outcome.error:
        raise outcome.error
    return JSONResponse({"result": _numbers(cast("Embedding", outcome.result).vector)})


async def clip_text(request: Request, door: Door) -> Response:
    """POST /clip/txt: the vector of the words that somebody searches for, who waits: not in the bulk lane."""
    call = await _call(request, door)
    document = await door.json(request, call)
    text = document.value.get("text") if isinstance(document.value, dict) else None
    if not isinstance(text, str):
        return _incomplete("body", "text")
    found, _ = await door.embed(EmbedTextRequest((text,)), call)
    return JSONResponse({"result": _numbers(found.embeddings[0].vector)})


async def represent(request: Request, door: Door) -> Response:
    """POST /represent: the fork's faces, which no task of ours finds."""
    await _call(request, door)
    raise ModelNotInstalledError("this server finds no faces: leave them to MT-Photos' own service")


async def restart(request: Request, door: Door) -> Response:
    """POST /restart and /restart_v2: the program's own service ends itself to free memory; this one has no need to."""
    await _call(request, door)
    return JSONResponse({"result": "pass"})


def refuse(request: Request, error: ImagierError) -> Response:
    """An error as the program's own service answers it: a fault of the picture is HTTP 200 without a result."""
    if error.code is Code.UNAUTHENTICATED:
        if _KEY not in request.headers:
            return _incomplete("header", _KEY)
        return JSONResponse({"detail": "Invalid API key"}, http_status(error), http_headers(error))
    if isinstance(error, InvalidImageError):
        text = "height or width out of range" if isinstance(error, LongSideError) else error.text
        return JSONResponse({"result": [], "msg": text})
    return JSONResponse({"detail": error.text}, http_status(error), http_headers(error))


async def _call(request: Request, door: Door) -> CallContext:
    return await door.call_of(request, secret=request.headers.get(_KEY))


async def _file(request: Request, door: Door, call: CallContext) -> bytes | None:
    """The picture file; None if the form has none."""
    file = (await door.form(request, call)).get(_FILE)
    return await file.read() if isinstance(file, UploadFile) else None


def _incomplete(*place: str) -> Response:
    """FastAPI's answer to a request of which a part is missing."""
    fault = {"type": "missing", "loc": place, "msg": "Field required", "input": None}
    return JSONResponse({"detail": [fault]}, 422)


def _lines(lines: Sequence[TextLine]) -> dict[str, Any]:
    return {
        "texts": [line.text for line in lines],
        "scores": [_rounded(line.confidence) for line in lines],
        "boxes": [_box(line) for line in lines],
    }


def _box(line: TextLine) -> dict[str, str]:
    """The smallest upright rectangle around a line."""
    across, down = [point.x for point in line.polygon], [point.y for point in line.polygon]
    left, top = min(across), min(down)
    sides = {"x": left, "y": top, "width": max(across) - left, "height": max(down) - top}
    return {name: _rounded(value) for name, value in sides.items()}


def _numbers(vector: Vector) -> list[str]:
    return [f"{number:.16f}" for number in vector.values]


def _rounded(number: float) -> str:
    """At most two decimals, at least one: 4.0, 0.98."""
    return str(round(float(number), 2))


FACADE = Facade(
    "mt-photos",
    (
        Endpoint("", page, ("GET",)),
        Endpoint("/", page, ("GET",)),
        Endpoint("/ping", ping, ("GET",)),
        Endpoint("/check", check, at_root=True),
        Endpoint("/ocr", ocr, at_root=True),
        Endpoint("/clip/img", clip_image, at_root=True),
        Endpoint("/clip/txt", clip_text, at_root=True),
        Endpoint("/represent", represent, at_root=True),
        Endpoint("/restart", restart, at_root=True),
        Endpoint("/restart_v2", restart, at_root=True),
    ),
    refuse,
    "/mt-photos",
)
