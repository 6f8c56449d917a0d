# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from http import HTTPStatus

import grpc
import pytest
from google.rpc import code_pb2
from imagier_server.errors import (
    Code,
    DrainingError,
    Full,
    ImageTooLargeError,
    InvalidImageError,
    OverloadedError,
    UnauthenticatedError,
)
from imagier_server.transport.statuses import STATUSES, Status, http_headers, http_status

# Connect's own table: https://connectrpc.com/docs/protocol/#error-codes
CONNECT = {
    "invalid_argument": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "resource_exhausted": 429,
    "internal": 500,
    "unimplemented": 501,
    "unavailable": 503,
    "deadline_exceeded": 504,
}


def test_every_code_has_a_status_and_no_two_the_same() -> None:
    assert set(STATUSES) == set(Code)
    assert (
        len({each.number for each in STATUSES.values()}) == len({each.http for each in STATUSES.values()}) == len(Code)
    )


@pytest.mark.parametrize("status", STATUSES.values(), ids=lambda status: status.grpc)
def test_names_and_numbers_are_those_of_grpc_and_http(status: Status) -> None:
    assert code_pb2.Code.Name(status.number) == status.grpc
    assert grpc.StatusCode[status.grpc].value[0] == status.number
    assert HTTPStatus(status.http) >= 400
    # Connect has no Payment Required: what is missing there is a precondition.
    assert CONNECT.get(status.connect, 402) == status.http


def test_retryable_are_the_codes_that_pass() -> None:
    assert {code for code in Code if STATUSES[code].retryable} == {Code.EXHAUSTED, Code.UNAVAILABLE}


def test_http_has_a_status_of_its_own_for_what_is_too_large() -> None:
    assert http_status(ImageTooLargeError("too large")) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert http_status(InvalidImageError("damaged")) == HTTPStatus.BAD_REQUEST


def test_retry_after_is_in_whole_seconds_and_never_shorter() -> None:
    error = OverloadedError("full", Full.QUEUE)
    for seconds, whole in ((0.01, 1), (1.0, 1), (1.01, 2), (59.5, 60)):
        error.retry_after = seconds
        assert http_headers(error) == {"retry-after": str(whole)}
    assert "retry-after" in http_headers(DrainingError("ends"))
    assert not http_headers(InvalidImageError("damaged"))


def test_whoever_has_no_key_is_told_how_one_is_sent() -> None:
    assert http_headers(UnauthenticatedError("a key is needed")) == {"www-authenticate": "Bearer"}
