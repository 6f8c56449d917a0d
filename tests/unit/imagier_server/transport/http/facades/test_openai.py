# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest
from imagier_server.errors import (
    Code,
    DrainingError,
    ForbiddenError,
    ImageTooLargeError,
    ImagierError,
    InternalError,
    InvalidRequestError,
    ModelNotInstalledError,
    UnauthenticatedError,
    UnknownModelError,
    UnpaidError,
)
from imagier_server.transport.http.facades.openai import refuse
from imagier_server.transport.statuses import STATUSES

NOBODY: Any = None


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (InvalidRequestError("no"), 400, "invalid_request_error", "invalid_request"),
        (ImageTooLargeError("no"), 413, "invalid_request_error", "image_too_large"),
        (UnknownModelError("no"), 404, "invalid_request_error", "model_not_found"),
        (UnauthenticatedError("no"), 401, "invalid_request_error", "invalid_api_key"),
        (ForbiddenError("no"), 403, "permission_error", "permission_denied"),
        (UnpaidError("no"), 402, "insufficient_quota", "insufficient_quota"),
        (ModelNotInstalledError("no"), 501, "invalid_request_error", "model_not_installed"),
        (DrainingError("no"), 503, "server_error", "draining"),
        (InternalError(), 500, "server_error", "internal"),
    ],
)
def test_an_error_has_openais_type_and_code(error: ImagierError, status: int, kind: str, code: str) -> None:
    answer = refuse(NOBODY, error)
    content = json.loads(bytes(answer.body))["error"]
    assert (answer.status_code, content["type"], content["code"]) == (status, kind, code)
    assert content.keys() == {"message", "type", "param", "code"}


@pytest.mark.parametrize("code", Code)
def test_a_client_tries_again_if_and_only_if_that_may_help(code: Code) -> None:
    for delay in (None, 2.0):
        error = ImagierError("no", field="messages")
        error.code, error.retry_after = code, delay
        answer = refuse(NOBODY, error)
        assert answer.headers["x-should-retry"] == ("false" if delay is None else "true")
        assert ("retry-after" in answer.headers) is (delay is not None)
        assert answer.status_code == STATUSES[code].http
        assert json.loads(bytes(answer.body))["error"]["param"] == "messages"
