# SPDX-License-Identifier: Apache-2.0
"""Errors in the shape of Immich's server (immich_ml 3.2), which FastAPI makes. The rest: integration/http/test_immich.py."""

from __future__ import annotations

import json
from typing import Any

from imagier_server.errors import Full, ImagierError, InvalidImageError, InvalidRequestError, OverloadedError
from imagier_server.transport.http.facades import immich
from imagier_server.transport.http.immich.entries import EntriesError, MissingEntriesError
from starlette.requests import Request

REQUEST = Request({"type": "http", "headers": []})


def refused(error: ImagierError) -> tuple[int, Any]:
    answer = immich.refuse(REQUEST, error)
    return answer.status_code, json.loads(bytes(answer.body))["detail"]


def test_what_pydantic_would_refuse_is_422() -> None:
    missing = {"type": "missing", "loc": ["body", "entries"], "msg": "Field required", "input": None}
    assert refused(MissingEntriesError()) == (422, [missing])
    assert refused(EntriesError("Invalid request format.")) == (422, "Invalid request format.")


def test_everything_else_has_its_status_and_names_the_field() -> None:
    assert refused(InvalidRequestError("Either image or text must be provided")) == (
        400,
        "Either image or text must be provided",
    )
    score = InvalidRequestError("this must be a number from 0 to 1", field="ocr.detection.options.minScore")
    assert refused(score) == (400, "ocr.detection.options.minScore: this must be a number from 0 to 1")
    assert refused(InvalidImageError("the image is empty")) == (400, "the image is empty")
    busy = OverloadedError("too many", Full.PICTURES)
    assert "retry-after" in immich.refuse(REQUEST, busy).headers
