# SPDX-License-Identifier: Apache-2.0
"""The errors that a caller meets: one family, decoded from google.rpc details, each permanent or retryable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import product
from typing import cast

import grpc
from google.protobuf import message as protobuf
from google.rpc import error_details_pb2, status_pb2  # type: ignore[attr-defined, unused-ignore]  # half of it is typed

_DOMAIN = "imagier"
_STATUS_KEY = "grpc-status-details-bin"
_PUSHBACK_KEY = "grpc-retry-pushback-ms"
_LONGEST_PUSHBACK = 18  # digits of milliseconds: an int64
_CODES: dict[int, str] = {code.value[0]: code.name for code in grpc.StatusCode}


class ImagierClientError(Exception):
    """A call, or one picture of many, failed.

    `code` is gRPC's name for the kind of failure ("INVALID_ARGUMENT"), `reason` the server's own constant ("IMAGE_TOO_LARGE", or
    "" where it gave none), `field` the request's field at fault, `used_up` the limit that is reached ("key:pictures"), if any.
    `retryable` says whether the same call may succeed later, and `retry_after` after how many seconds, where the server said so.
    """

    code: str = "UNKNOWN"
    reason: str = ""
    used_up: str | None = None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        reason: str | None = None,
        field: str | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = self.code if code is None else code
        self.reason = self.reason if reason is None else reason
        self.field = field
        self.retryable = retryable
        self.retry_after = retry_after

    # Errors are part of answers, which are values: two that say the same are equal, here and after pickling.
    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), self.message, self.code, self.reason, self.field))


class InvalidRequestError(ImagierClientError):
    """The request is invalid: it asks for nothing, or an option is out of its range. Permanent."""

    code = "INVALID_ARGUMENT"
    reason = "INVALID_REQUEST"


class InvalidImageError(InvalidRequestError):
    """The picture cannot be read by the server, and never will be. Permanent."""

    reason = "INVALID_IMAGE"


class ImageTooLargeError(InvalidImageError):
    """The picture exceeds a limit of the server's catalogue; said by the server, or by the client before sending. Permanent."""

    reason = "IMAGE_TOO_LARGE"


class UnreadableFileError(InvalidImageError):
    """The picture's file cannot be read on this side: it is missing, forbidden or not a regular file. Permanent."""

    reason = "UNREADABLE_FILE"


class AuthenticationError(ImagierClientError):
    """The server needs a key, or does not know this one: it is wrong, expired or revoked. Permanent."""

    code = "UNAUTHENTICATED"
    reason = "UNAUTHENTICATED"


class ForbiddenError(ImagierClientError):
    """The key does not allow what is asked for. Permanent."""

    code = "PERMISSION_DENIED"
    reason = "FORBIDDEN"


class CreditsError(ImagierClientError):
    """There are too few credits. Permanent until there are more."""

    code = "FAILED_PRECONDITION"
    reason = "CREDITS_USED_UP"


class NotFoundError(ImagierClientError):
    """The server does not have it. Permanent."""

    code = "NOT_FOUND"


class UnsupportedError(ImagierClientError):
    """The server does not offer it: an optional model is not installed, or the server is older. Permanent."""

    code = "UNIMPLEMENTED"


class ExhaustedError(ImagierClientError):
    """A limit of the server is reached for now if `retryable`; otherwise the request exceeds a fixed limit."""

    code = "RESOURCE_EXHAUSTED"


class OverloadedError(ExhaustedError):
    """The server is at capacity, or so busy that the call's deadline would pass."""

    reason = "OVERLOADED"


class QuotaError(ExhaustedError):
    """A quota of the key or of the server is used up; `used_up` says which, `retry_after` when there is room again."""

    reason = "QUOTA_EXCEEDED"


class UnavailableError(ImagierClientError):
    """The server, its engine or a model cannot be reached now."""

    code = "UNAVAILABLE"


class DeadlineError(ImagierClientError):
    """Time ran out before the answer came."""

    code = "DEADLINE_EXCEEDED"
    reason = "DEADLINE_EXCEEDED"


class ServerFaultError(ImagierClientError):
    """A fault of the server, which its operator should look for in its log."""

    code = "INTERNAL"
    reason = "INTERNAL"


class DifferentSpaceError(ImagierClientError):
    """Vectors of two models were to be compared, which says nothing: make both with the same one. Permanent."""

    code = "FAILED_PRECONDITION"
    reason = "DIFFERENT_SPACE"


class ClientStateError(ImagierClientError):
    """This client cannot be used here: it is closed, or belongs to another event loop or another process. Permanent."""

    code = "FAILED_PRECONDITION"
    reason = "CLIENT_STATE"


FORKED = (
    "this client was made before a fork, which gRPC does not survive: make one in each process, started with 'spawn'"
)


_BY_REASON: Mapping[str, type[ImagierClientError]] = {
    cls.reason: cls
    for cls in (InvalidRequestError, InvalidImageError, ImageTooLargeError, CreditsError, OverloadedError, QuotaError)
} | dict.fromkeys(("DECODER_CRASHED", "DECODER_OVERRUN"), InvalidImageError)
_BY_CODE: dict[str, type[ImagierClientError]] = {
    "INVALID_ARGUMENT": InvalidRequestError,
    "OUT_OF_RANGE": InvalidRequestError,
    "UNAUTHENTICATED": AuthenticationError,
    "PERMISSION_DENIED": ForbiddenError,
    "NOT_FOUND": NotFoundError,
    "UNIMPLEMENTED": UnsupportedError,
    "INTERNAL": ServerFaultError,
    "RESOURCE_EXHAUSTED": ExhaustedError,
    "UNAVAILABLE": UnavailableError,
    "CANCELLED": UnavailableError,
    "DEADLINE_EXCEEDED": DeadlineError,
}
_TRANSPORT = {"UNAVAILABLE", "CANCELLED"}
_CLOSED = "Channel closed!"  # gRPC's word for what the caller itself has done


def from_status(status: status_pb2.Status, pushback: str | None = None) -> ImagierClientError:
    """The error that a google.rpc.Status describes. `pushback` is the call's `grpc-retry-pushback-ms`, if it had one.

    Retryable are UNAVAILABLE and RESOURCE_EXHAUSTED, if the server says when to come back. An UNAVAILABLE without any detail comes
    from the transport (nobody listens, the connection broke) and is retryable too, because annotating is idempotent; so does a
    CANCELLED, gRPC's answer to a call that reaches a server in the moment it stops. A negative or unreadable pushback forbids
    (gRPC proposal A6).
    """
    code = _CODES.get(status.code, "UNKNOWN")
    info, bad_request, quota, retry_info = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.QuotaFailure(),
        error_details_pb2.RetryInfo(),
    )
    for packed, detail in product(status.details, (info, bad_request, quota, retry_info)):
        if packed.Is(detail.DESCRIPTOR):
            with suppress(protobuf.DecodeError):  # a detail that cannot be read is as good as none
                packed.Unpack(detail)
    delay = retry_info.retry_delay
    retry_after = delay.seconds + delay.nanos / 1e9 if retry_info.HasField("retry_delay") else None
    forbidden = False
    if pushback is not None:
        forbidden = not (pushback.isdecimal() and len(pushback) <= _LONGEST_PUSHBACK)
        retry_after = None if forbidden else int(pushback) / 1000
    transient = retry_after is not None or (code in _TRANSPORT and not status.details and status.message != _CLOSED)
    ours = info.domain == _DOMAIN
    error = ((_BY_REASON.get(info.reason) if ours else None) or _BY_CODE.get(code, ImagierClientError))(
        status.message or code,
        code=code,
        reason=info.reason,
        field=bad_request.field_violations[0].field if bad_request.field_violations else None,
        retryable=code in {*_TRANSPORT, "RESOURCE_EXHAUSTED"} and transient and not forbidden,
        retry_after=retry_after,
    )
    if quota.violations:
        error.used_up = quota.violations[0].subject
    return error


def from_rpc_error(error: grpc.RpcError) -> ImagierClientError:
    """The error behind a failed call of either kind of stub, blocking or asyncio."""
    metadata = dict(cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ()))
    packed = metadata.get(_STATUS_KEY)
    status = status_pb2.Status()
    if isinstance(packed, bytes):
        with suppress(protobuf.DecodeError):  # something on the way has cut it
            status.ParseFromString(packed)
    # The status line is what gRPC itself vouches for; a proxy may have replaced it and left the details.
    status.code, status.message = error.code().value[0], status.message or error.details() or ""
    pushback = metadata.get(_PUSHBACK_KEY)
    return from_status(status, pushback if isinstance(pushback, str) else None)
