# SPDX-License-Identifier: Apache-2.0
"""Our errors as gRPC statuses: one table, google.rpc details, and the retry hint that gRPC's own clients obey."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[attr-defined, unused-ignore]  # the published stubs know status only

from imagier_server.errors import Code, ImagierError

DOMAIN = "imagier"

CODES = {
    Code.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Code.EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Code.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Code.UNSUPPORTED: grpc.StatusCode.UNIMPLEMENTED,
    Code.DEADLINE: grpc.StatusCode.DEADLINE_EXCEEDED,
    Code.INTERNAL: grpc.StatusCode.INTERNAL,
}


def to_status(error: ImagierError) -> status_pb2.Status:
    """The error with its details: ErrorInfo always, BadRequest for a field, RetryInfo if a retry may succeed."""
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)]
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.text)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(round(error.retry_after * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    packed = [any_pb2.Any() for _ in details]
    for envelope, detail in zip(packed, details, strict=True):
        envelope.Pack(detail)
    return status_pb2.Status(code=CODES[error.code].value[0], message=error.text, details=packed)


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: ImagierError) -> NoReturn:
    """Ends a call with that error. `grpc-retry-pushback-ms` (gRFC A6) says when to retry, or, negative, not to."""
    pushback = -1 if error.retry_after is None else round(error.retry_after * 1000)
    trailers = (
        ("grpc-status-details-bin", to_status(error).SerializeToString()),
        ("grpc-retry-pushback-ms", str(pushback)),
    )
    await context.abort(CODES[error.code], error.text, trailers)
    raise AssertionError("abort returned: that is a bug of gRPC")
