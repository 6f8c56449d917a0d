# SPDX-License-Identifier: Apache-2.0
"""Azure Computer Vision 3.2, of which one call: tags, as Piwigo's plugin Tag Recognition (9c950e5) asks for them.

The plugin sends a call for each picture of a batch, all at once, and never retries: its calls wait for room.
"""

from __future__ import annotations

import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imagier_server.call import CallContext
from imagier_server.decode.formats import sniff
from imagier_server.errors import Code, ImageTooLargeError, ImagierError, InvalidRequestError
from imagier_server.messages import Annotation
from imagier_server.tasks.languages import MAX_LANGUAGE, spoken
from imagier_server.transport.http.asking import asked
from imagier_server.transport.http.dialect.models import words_of
from imagier_server.transport.http.door import Door
from imagier_server.transport.http.facades.facade import Endpoint, Facade
from imagier_server.transport.statuses import http_headers, http_status

_KEY = "ocp-apim-subscription-key"
_TASK = "tags"
_LONGEST_LIST = 256
"""Characters of the list of features: all of Azure's take a hundred."""

_CODES = {
    Code.INVALID: "InvalidRequest",
    Code.UNSUPPORTED: "InvalidRequest",
    Code.INTERNAL: "InternalServerError",
    Code.UNAVAILABLE: "ServiceUnavailable",
    Code.DEADLINE: "ServiceUnavailable",
}
"""Azure's codes, where it has its own; others are the HTTP status, as in those of its gateway."""
_INNER = {
    "image": "InvalidImageFormat",
    "url": "InvalidImageUrl",
    "language": "NotSupportedLanguage",
    "visualFeatures": "NotSupportedVisualFeature",
    "details": "InvalidDetails",
    "content-type": "UnsupportedMediaType",
}
"""Azure's inner code by the field at fault."""


async def analyze(request: Request, door: Door) -> Response:
    """POST /vision/v3.2/analyze?visualFeatures=tags."""
    call = await door.call_of(request, secret=request.headers.get(_KEY))
    with door.batch(call) as waiting:
        language = _language(request, door)
        image = await _image(request, door, waiting)
        annotation = await door.annotate(asked(image, {_TASK: {}}, (language,)), waiting)
    return _answer(annotation, language, sniff(image).name.capitalize())


def refuse(_request: Request, error: ImagierError) -> Response:
    """An error in Azure's shape."""
    status = http_status(error)
    content: dict[str, Any] = {"code": _CODES.get(error.code, str(status)), "message": error.text}
    if error.code is Code.INVALID:
        inner = _INNER.get(error.field or "", "BadArgument")
        content["innererror"] = {
            "code": "InvalidImageSize" if isinstance(error, ImageTooLargeError) else inner,
            "message": error.text,
        }
    return JSONResponse({"error": content}, status, http_headers(error))


def _language(request: Request, door: Door) -> str:
    """The language to answer in. Raises `InvalidRequestError` for what the query asks for and no task does."""
    query = request.query_params
    features = query.get("visualFeatures", "")[:_LONGEST_LIST]
    if {feature.strip().lower() for feature in features.split(",")} != {_TASK}:
        raise InvalidRequestError(
            "this server answers visualFeatures=Tags, and no other feature", field="visualFeatures"
        )
    if query.get("details"):
        raise InvalidRequestError("this server knows no celebrities and no landmarks", field="details")
    language = query.get("language", "en")
    known = next(task.languages for task in door.catalogue().tasks if task.name == _TASK)
    ours, _ = spoken((language[:MAX_LANGUAGE],), known)
    if not ours:
        raise InvalidRequestError(f"tags have names in these languages: {', '.join(known)}", field="language")
    return ours[0]


async def _image(request: Request, door: Door, call: CallContext) -> bytes:
    """The file that is the body, or at the URL that a JSON body names. Raises `ImagierError`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        document = await door.json(request, call)
        if not isinstance(document.value, dict) or "url" not in document.value:
            raise InvalidRequestError('the body must be {"url": "https://…"}', field="url")
        return await door.fetch(document.value["url"], call)
    if kind == "multipart/form-data":
        raise InvalidRequestError("send the picture itself as application/octet-stream", field="content-type")
    return await door.body(request, call)


def _answer(annotation: Annotation, language: str, kind: str) -> Response:
    outcome = annotation.outcomes[_TASK]
    if outcome.error:
        raise outcome.error
    name = str(uuid.uuid4())
    tags = words_of(_TASK).plain(outcome.result, (language,))
    content = {
        "tags": [{"name": tag.text, "confidence": tag.score} for tag in tags],
        "requestId": name,
        "metadata": {"width": annotation.width, "height": annotation.height, "format": kind},
        "modelVersion": outcome.models[0].version,
    }
    return JSONResponse(content, headers={"apim-request-id": name})


FACADE = Facade("azure", (Endpoint("/vision/v3.2/analyze", analyze, at_root=True),), refuse, "/azure")
