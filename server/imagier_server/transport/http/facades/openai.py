# SPDX-License-Identifier: Apache-2.0
"""OpenAI's API: models, chat completions and responses, as its clients `openai` 3.57 (Python) and 7.59 (Node.js) read them."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imagier_server.errors import Code, ImagierError, ModelNotInstalledError
from imagier_server.transport.http.dialect.asking import call_of, model_of, models_of
from imagier_server.transport.http.dialect.models import DialectModel
from imagier_server.transport.http.door import Door
from imagier_server.transport.http.facades.facade import Endpoint, Facade
from imagier_server.transport.http.facades.openai_chat import complete
from imagier_server.transport.http.facades.openai_responses import respond
from imagier_server.transport.statuses import http_headers, http_status

_KINDS = {
    Code.UNAUTHENTICATED: ("invalid_request_error", "invalid_api_key"),
    Code.FORBIDDEN: ("permission_error", "permission_denied"),
    Code.UNPAID: ("insufficient_quota", "insufficient_quota"),
    Code.NOT_FOUND: ("invalid_request_error", "model_not_found"),
    Code.EXHAUSTED: ("rate_limit_error", "rate_limit_exceeded"),
}
"""OpenAI's type and code, where it has its own. Other faults are invalid_request_error or, the server's, server_error."""


async def models(request: Request, door: Door) -> Response:
    """GET /v1/models."""
    await call_of(request, door)
    return JSONResponse({"object": "list", "data": [_model(model) for model in models_of(door).values()]})


async def model(request: Request, door: Door) -> Response:
    """GET /v1/models/{name}."""
    await call_of(request, door)
    return JSONResponse(_model(model_of(door, request.path_params["name"])))


async def embeddings(request: Request, door: Door) -> Response:
    """POST /v1/embeddings, which has no model yet."""
    await call_of(request, door)
    raise ModelNotInstalledError("this server has no model for embeddings: it answers chat completions and responses")


def refuse(_request: Request, error: ImagierError) -> Response:
    """An error in OpenAI's shape. Its clients retry by `x-should-retry` before they look at the status."""
    status = http_status(error)
    kind, code = _KINDS.get(error.code, (None, error.reason.lower()))
    if kind is None:
        kind = "invalid_request_error" if status < 500 or error.code is Code.UNSUPPORTED else "server_error"
    headers = http_headers(error) | {"x-should-retry": "false" if error.retry_after is None else "true"}
    content = {"message": error.text, "type": kind, "param": error.field, "code": code}
    return JSONResponse({"error": content}, status, headers)


def _model(model: DialectModel) -> dict[str, Any]:
    # Nobody knows when a set of tasks was created; 0 is a time that every client can read.
    return {"id": model.name, "object": "model", "created": 0, "owned_by": "imagier"}


FACADE = Facade(
    "openai",
    (
        Endpoint("/v1/models", models, ("GET",)),
        Endpoint("/v1/models/{name}", model, ("GET",)),
        Endpoint("/v1/chat/completions", complete),
        Endpoint("/v1/responses", respond),
        Endpoint("/v1/embeddings", embeddings),
    ),
    refuse,
)
