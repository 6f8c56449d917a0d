# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest
from imagier_server.errors import (
    DeadlineError,
    DrainingError,
    ForbiddenError,
    Full,
    ImageTooLargeError,
    ImagierError,
    InternalError,
    InvalidImageError,
    InvalidRequestError,
    ModelNotInstalledError,
    OverloadedError,
    UnpaidError,
)
from imagier_server.transport.http.facades.azure import refuse

NOBODY: Any = None


@pytest.mark.parametrize(
    ("error", "status", "code", "inner"),
    [
        (InvalidImageError("no"), 400, "InvalidRequest", "InvalidImageFormat"),
        (ImageTooLargeError("no"), 413, "InvalidRequest", "InvalidImageSize"),
        (InvalidRequestError("no", field="language"), 400, "InvalidRequest", "NotSupportedLanguage"),
        (InvalidRequestError("no"), 400, "InvalidRequest", "BadArgument"),
        (ModelNotInstalledError("no"), 501, "InvalidRequest", None),
        (UnpaidError("no"), 402, "402", None),
        (ForbiddenError("no"), 403, "403", None),
        (OverloadedError("no", Full.PICTURES), 429, "429", None),
        (DrainingError("no"), 503, "ServiceUnavailable", None),
        (DeadlineError("no"), 504, "ServiceUnavailable", None),
        (InternalError("no"), 500, "InternalServerError", None),
    ],
)
def test_an_error_has_azures_shape(error: ImagierError, status: int, code: str, inner: str | None) -> None:
    answer = refuse(NOBODY, error)
    content: dict[str, Any] = {"code": code, "message": "no"}
    if inner:
        content["innererror"] = {"code": inner, "message": "no"}
    assert (answer.status_code, json.loads(bytes(answer.body))) == (status, {"error": content})
    assert ("retry-after" in answer.headers) is (error.retry_after is not None)
