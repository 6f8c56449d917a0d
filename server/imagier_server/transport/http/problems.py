# SPDX-License-Identifier: Apache-2.0
"""Renders errors as problem details (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imagier_server.errors import ImagierError
from imagier_server.transport.statuses import http_headers, http_status

MEDIA_TYPE = "application/problem+json"


def refuse(_request: Request, error: ImagierError) -> Response:
    """The problem of an error, with Retry-After if a retry may succeed."""
    fields = {"reason": error.reason, "field": error.field, "retryable": error.retry_after is not None}
    return _problem(http_status(error), error.text, http_headers(error), **fields)


def refuse_route(_request: Request, error: Exception) -> Response:
    """The problem of a path or method that there is not."""
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    phrase = HTTPStatus(status).phrase
    reason = phrase.upper().replace(" ", "_")
    allowed = headers.get("Allow")
    detail = f"this path answers {allowed} only: see /docs" if allowed else "there is nothing here: see /docs"
    return _problem(status, detail, headers, reason=reason, retryable=False)


def _problem(status: int, detail: str, headers: dict[str, str], **fields: object) -> Response:
    content = {"title": HTTPStatus(status).phrase, "status": int(status), "detail": detail, **fields}
    content = {name: value for name, value in content.items() if value is not None}
    return JSONResponse(content, status, headers, MEDIA_TYPE)
