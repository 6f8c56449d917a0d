# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest
from imagier_server.errors import DrainingError, ImagierError, InvalidRequestError, UnknownModelError
from imagier_server.transport.http.facades.ollama import refuse

NOBODY: Any = None


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (UnknownModelError("there is no such model", field="model"), 404, "there is no such model"),
        (InvalidRequestError("several", field="images"), 400, "images: several"),
        (DrainingError("away"), 503, "away"),
    ],
)
def test_an_error_is_a_text_that_names_the_field(error: ImagierError, status: int, text: str) -> None:
    answer = refuse(NOBODY, error)
    assert (answer.status_code, json.loads(bytes(answer.body))) == (status, {"error": text})
    assert ("retry-after" in answer.headers) is (error.retry_after is not None)
