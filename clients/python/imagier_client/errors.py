# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, as a caller meets it: one family, decoded from google.rpc details, each error permanent or retryable."""

from __future__ import annotations

from collections.abc import Iterable
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
    "" where it gave none), `field` the request's field at fault. `retryable` says whether the same call may succeed later, and
    `retry_after` after how many seconds, where the server said so.
    """

    code: str = "UNKNOWN"
    reason: str = ""

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


class InvalidRequestError(ImagierClientError):
    """The request is at fault: it asks for nothing, or an option is out of its range. Permanent."""

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


class ExhaustedError(ImagierClientError):
    """Too much at once if `retryable`; otherwise a cap that another attempt will not pass either."""

    code = "RESOURCE_EXHAUSTED"


class UnavailableError(ImagierClientError):
    """The server, its engine or a model cannot be reached now."""

    code = "UNAVAILABLE"


class DeadlineError(ImagierClientError):
    """Time ran out before the answer came."""

    code = "DEADLINE_EXCEEDED"
    reason = "DEADLINE_EXCEEDED"


_BY_REASON: dict[str, type[ImagierClientError]] = {
    cls.reason: cls for cls in (InvalidRequestError, InvalidImageError, ImageTooLargeError)
}
_BY_CODE: dict[str, type[ImagierClientError]] = {
    "INVALID_ARGUMENT": InvalidRequestError,
    "OUT_OF_RANGE": InvalidRequestError,
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
    info, bad_request, retry_info = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    for packed, detail in product(status.details, (info, bad_request, retry_info)):
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
    return ((_BY_REASON.get(info.reason) if ours else None) or _BY_CODE.get(code, ImagierClientError))(
        status.message or code,
        code=code,
        reason=info.reason,
        field=bad_request.field_violations[0].field if bad_request.field_violations else None,
        retryable=code in {*_TRANSPORT, "RESOURCE_EXHAUSTED"} and transient and not forbidden,
        retry_after=retry_after,
    )


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
