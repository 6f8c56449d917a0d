# SPDX-License-Identifier: Apache-2.0
"""Which error a status becomes, and whether it may be tried again."""

from __future__ import annotations

import pickle

import grpc
import pytest
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2
from imagier_client import errors
from imagier_client.errors import ImagierClientError, from_rpc_error, from_status


def status(
    code: str, reason: str = "", *, retry_after: int | None = None, domain: str = "imagier"
) -> status_pb2.Status:
    made = status_pb2.Status(code=grpc.StatusCode[code].value[0], message="said")
    if reason:
        made.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain=domain))
    if retry_after is not None:
        made.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=retry_after)))
    return made


@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        ("INVALID_ARGUMENT", "INVALID_REQUEST", errors.InvalidRequestError),
        ("INVALID_ARGUMENT", "INVALID_IMAGE", errors.InvalidImageError),
        ("INVALID_ARGUMENT", "IMAGE_TOO_LARGE", errors.ImageTooLargeError),
        ("INVALID_ARGUMENT", "NEW_REASON", errors.InvalidRequestError),
        ("RESOURCE_EXHAUSTED", "OVERLOADED", errors.OverloadedError),
        ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", errors.QuotaError),
        ("RESOURCE_EXHAUSTED", "CREDITS_RESERVED", errors.ExhaustedError),
        ("RESOURCE_EXHAUSTED", "", errors.ExhaustedError),
        ("UNAUTHENTICATED", "UNAUTHENTICATED", errors.AuthenticationError),
        ("PERMISSION_DENIED", "FORBIDDEN", errors.ForbiddenError),
        ("FAILED_PRECONDITION", "CREDITS_USED_UP", errors.CreditsError),
        ("FAILED_PRECONDITION", "", ImagierClientError),
        ("NOT_FOUND", "", errors.NotFoundError),
        ("UNIMPLEMENTED", "MODEL_NOT_INSTALLED", errors.UnsupportedError),
        ("UNAVAILABLE", "ENGINE_UNAVAILABLE", errors.UnavailableError),
        ("UNAVAILABLE", "", errors.UnavailableError),
        ("CANCELLED", "", errors.UnavailableError),
        ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", errors.DeadlineError),
        ("INTERNAL", "INTERNAL", errors.ServerFaultError),
        ("UNKNOWN", "", ImagierClientError),
    ],
)
def test_the_reason_tells_more_than_the_code(code: str, reason: str, error: type[ImagierClientError]) -> None:
    made = from_status(status(code, reason))
    assert type(made) is error
    assert (made.code, made.reason, made.message, str(made)) == (code, reason, "said", "said")


def test_it_says_what_is_used_up() -> None:
    made = status("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", retry_after=9)
    made.details.add().Pack(
        error_details_pb2.QuotaFailure(violations=[error_details_pb2.QuotaFailure.Violation(subject="key:pictures")])
    )
    error = from_status(made)
    assert (error.used_up, error.retryable, error.retry_after) == ("key:pictures", True, 9.0)
    assert from_status(status("RESOURCE_EXHAUSTED")).used_up is None


def test_another_domains_reason_is_not_ours() -> None:
    assert type(from_status(status("INVALID_ARGUMENT", "INVALID_IMAGE", domain="proxy"))) is errors.InvalidRequestError


@pytest.mark.parametrize(
    ("made", "pushback", "retryable", "retry_after"),
    [
        (status("UNAVAILABLE"), None, True, None),
        (status("UNAVAILABLE", "GONE"), None, False, None),
        (status("CANCELLED"), None, True, None),
        (status("CANCELLED", "GONE"), None, False, None),
        (status_pb2.Status(code=1, message="Channel closed!"), None, False, None),
        (status("UNAVAILABLE", "ENGINE_UNAVAILABLE", retry_after=2), None, True, 2.0),
        (status("UNAVAILABLE", "ENGINE_UNAVAILABLE", retry_after=2), "700", True, 0.7),
        (status("UNAVAILABLE", "ENGINE_UNAVAILABLE", retry_after=2), "-1", False, None),
        (status("UNAVAILABLE", "ENGINE_UNAVAILABLE", retry_after=2), "soon", False, None),
        (status("UNAVAILABLE"), "-1", False, None),
        (status("RESOURCE_EXHAUSTED"), None, False, None),
        (status("RESOURCE_EXHAUSTED", "OVERLOADED"), None, False, None),
        (status("RESOURCE_EXHAUSTED", "OVERLOADED", retry_after=0), None, True, 0.0),
        (status("RESOURCE_EXHAUSTED"), "0", True, 0.0),
        (status("INTERNAL", "ODD", retry_after=2), None, False, 2.0),
        (status("DEADLINE_EXCEEDED"), None, False, None),
    ],
)
def test_only_what_is_safe_is_retryable(
    made: status_pb2.Status, pushback: str | None, retryable: bool, retry_after: float | None
) -> None:
    error = from_status(made, pushback)
    assert (error.retryable, error.retry_after) == (retryable, retry_after)


def test_the_field_at_fault() -> None:
    made = status("INVALID_ARGUMENT", "INVALID_REQUEST")
    violation = error_details_pb2.BadRequest.FieldViolation(field="tags.max_tags", description="too many")
    made.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    assert from_status(made).field == "tags.max_tags"


def test_a_status_without_words_is_named_by_its_code() -> None:
    assert str(from_status(status_pb2.Status(code=13))) == "INTERNAL"
    assert from_status(status_pb2.Status(code=99)).code == "UNKNOWN"


def rpc_error(code: grpc.StatusCode, trailing: tuple[tuple[str, str | bytes], ...] | None) -> grpc.aio.AioRpcError:
    metadata = None if trailing is None else grpc.aio.Metadata(*trailing)
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, "details", None)


def test_a_failed_calls_details_are_in_its_trailers() -> None:
    packed = status("RESOURCE_EXHAUSTED", "OVERLOADED", retry_after=1).SerializeToString()
    trailing = (("grpc-status-details-bin", packed), ("grpc-retry-pushback-ms", "250"), ("other", "x"))
    error = from_rpc_error(rpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED, trailing))
    assert (error.reason, error.retryable, error.retry_after, error.message) == ("OVERLOADED", True, 0.25, "said")


def test_a_failed_call_without_trailers() -> None:
    error = from_rpc_error(rpc_error(grpc.StatusCode.UNAVAILABLE, None))
    assert (type(error), error.message, error.retryable) == (errors.UnavailableError, "details", True)


def test_details_that_cannot_be_read_are_as_good_as_none() -> None:
    """Found by the fuzzer: something on the way has cut them, or the server is not ours."""
    made = status("UNAVAILABLE", "ENGINE_UNAVAILABLE", retry_after=2)
    for detail in made.details:
        detail.value = b"\xff" + detail.value
    assert (from_status(made).reason, from_status(made).retry_after) == ("", None)
    error = from_rpc_error(rpc_error(grpc.StatusCode.INTERNAL, (("grpc-status-details-bin", b"\xff\xff"),)))
    assert (error.code, error.message) == ("INTERNAL", "details")


def test_delays_of_ages_are_numbers() -> None:
    """Found by the fuzzer."""
    made = status("UNAVAILABLE", "ENGINE_UNAVAILABLE", retry_after=2)
    delay = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=2**62, nanos=-(2**31)))
    made.details[-1].Pack(delay)
    assert from_status(made).retry_after == pytest.approx(2.0**62)
    assert not from_status(made, "9" * 5000).retryable


def test_errors_cross_processes() -> None:
    error = from_status(status("UNAVAILABLE", "ENGINE_UNAVAILABLE", retry_after=2))
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    assert str(copy) == "said"


@pytest.mark.parametrize("cls", [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)])
def test_every_error_can_be_made_of_its_text_alone(cls: type[ImagierClientError]) -> None:
    made = cls("text")
    assert (str(made), made.retryable, made.field) == ("text", False, None)
    assert made.code in grpc.StatusCode.__members__
