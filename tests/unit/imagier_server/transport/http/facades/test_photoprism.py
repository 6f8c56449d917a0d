# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest
from imagier_server.errors import DrainingError, ImagierError, InvalidImageError
from imagier_server.transport.http.facades.photoprism import refuse

NOBODY: Any = None


@pytest.mark.parametrize(("error", "status"), [(InvalidImageError("no"), 400), (DrainingError("no"), 503)])
def test_an_error_has_its_status_in_the_body_too(error: ImagierError, status: int) -> None:
    answer = refuse(NOBODY, error)
    assert (answer.status_code, json.loads(bytes(answer.body))) == (
        status,
        {"code": status, "error": "no", "result": {}},
    )
    assert ("retry-after" in answer.headers) is (error.retry_after is not None)
