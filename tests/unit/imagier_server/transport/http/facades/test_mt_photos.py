# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest
from imagier_server.decode.process import DecoderCrashedError
from imagier_server.errors import (
    DrainingError,
    Full,
    ImageTooLargeError,
    ImagierError,
    InternalError,
    InvalidImageError,
    InvalidRequestError,
    LongSideError,
    ModelNotInstalledError,
    OverloadedError,
    Quota,
    QuotaError,
    UnauthenticatedError,
    UnpaidError,
)
from imagier_server.transport.http.facades.mt_photos import refuse
from starlette.requests import Request


def request(*headers: tuple[bytes, bytes]) -> Request:
    return Request({"type": "http", "headers": headers})


@pytest.mark.parametrize(
    "error",
    [InvalidImageError("no"), ImageTooLargeError("no"), DecoderCrashedError("no")],
    ids=lambda each: each.reason,
)
def test_a_fault_of_the_picture_is_200_without_a_result(error: ImagierError) -> None:
    answer = refuse(request(), error)
    assert (answer.status_code, json.loads(bytes(answer.body))) == (200, {"result": [], "msg": "no"})


def test_a_long_side_has_the_sentence_of_the_programs_own_service() -> None:
    answer = refuse(request(), LongSideError("no"))
    assert json.loads(bytes(answer.body)) == {"result": [], "msg": "height or width out of range"}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OverloadedError("no", Full.PICTURES), 429),
        (QuotaError("no", Quota.KEY_PICTURES, retry_after=60), 429),
        (DrainingError("no"), 503),
        (UnpaidError("no"), 402),
        (ModelNotInstalledError("no"), 501),
        (InvalidRequestError("no"), 400),
        (InternalError("no"), 500),
    ],
)
def test_what_is_not_the_pictures_fault_never_looks_like_an_empty_result(error: ImagierError, status: int) -> None:
    answer = refuse(request(), error)
    assert (answer.status_code, json.loads(bytes(answer.body))) == (status, {"detail": "no"})
    assert ("retry-after" in answer.headers) is (error.retry_after is not None)


def test_a_wrong_key_is_401_and_a_missing_one_what_fastapi_says() -> None:
    wrong = refuse(request((b"api-key", b"x")), UnauthenticatedError("no"))
    assert (wrong.status_code, json.loads(bytes(wrong.body))) == (401, {"detail": "Invalid API key"})
    missing = refuse(request(), UnauthenticatedError("no"))
    (fault,) = json.loads(bytes(missing.body))["detail"]
    assert (missing.status_code, fault["type"], fault["loc"]) == (422, "missing", ["header", "api-key"])
