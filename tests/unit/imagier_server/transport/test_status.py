# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import inspect

import grpc
import pytest
from google.rpc import error_details_pb2
from imagier_server import errors
from imagier_server.errors import Code, Full, ImagierError, OverloadedError, Quota
from imagier_server.transport.status import CODES, DOMAIN, to_status

FAMILY = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, ImagierError)]


def test_every_code_has_a_status_and_no_two_the_same() -> None:
    assert set(CODES) == set(Code)
    assert len(set(CODES.values())) == len(Code)


@pytest.mark.parametrize("error", FAMILY)
def test_details_of_each_error(error: type[ImagierError]) -> None:
    arguments = {"text": "a fixed sentence", "full": Full.QUEUE, "quota": Quota.KEY_PICTURES, "retry_after": 9.0}
    raised = error(**{name: arguments[name] for name in inspect.signature(error).parameters if name in arguments})
    status = to_status(raised)
    details = {detail.type_url.rsplit(".")[-1]: detail for detail in status.details}
    info = error_details_pb2.ErrorInfo()
    details["ErrorInfo"].Unpack(info)
    assert (info.reason, info.domain) == (raised.reason, DOMAIN)
    assert info.reason == info.reason.upper()
    assert ("RetryInfo" in details) == (raised.retry_after is not None)
    assert ("QuotaFailure" in details) == (raised.used_up is not None)
    assert ("BadRequest" in details) == (raised.field is not None)
    assert status.message == raised.text


def test_a_refusal_names_what_is_used_up() -> None:
    (packed,) = [
        detail for detail in to_status(OverloadedError("full", Full.QUEUE)).details if "Quota" in detail.type_url
    ]
    failure = error_details_pb2.QuotaFailure()
    packed.Unpack(failure)
    assert [(each.subject, each.description) for each in failure.violations] == [("model:queue", "full")]


def test_permanent_and_retryable_never_look_alike() -> None:
    for error in FAMILY:
        if error.code in {Code.INVALID, Code.UNSUPPORTED}:
            assert error.retry_after is None, error
        if error.code in {Code.EXHAUSTED, Code.UNAVAILABLE}:
            assert error.retry_after, error
    assert CODES[Code.INVALID] is grpc.StatusCode.INVALID_ARGUMENT
