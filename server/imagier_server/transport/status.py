# SPDX-License-Identifier: Apache-2.0
"""Makes gRPC statuses of errors, with google.rpc details, and the retry pushback for gRPC's own clients."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[attr-defined, unused-ignore]  # the published stubs know status only

from imagier_server.errors import Code, ImagierError
from imagier_server.transport.statuses import STATUSES

DOMAIN = "imagier"

CODES = {code: next(each for each in grpc.StatusCode if each.value[0] == STATUSES[code].number) for code in Code}


def to_status(error: ImagierError) -> status_pb2.Status:
    """Build the status with details: ErrorInfo always, BadRequest for a field, QuotaFailure, RetryInfo if a retry may succeed."""
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)]
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.text)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.used_up:
        used_up = error_details_pb2.QuotaFailure.Violation(subject=error.used_up, description=error.text)
        details.append(error_details_pb2.QuotaFailure(violations=[used_up]))
    if error.retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(round(error.retry_after * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    packed = [any_pb2.Any() for _ in details]
    for envelope, detail in zip(packed, details, strict=True):
        envelope.Pack(detail)
    return status_pb2.Status(code=STATUSES[error.code].number, message=error.text, details=packed)


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: ImagierError) -> NoReturn:
    """End a call with an error. `grpc-retry-pushback-ms` (gRFC A6) says when to retry, or, negative, not to."""
    error.without_traceback()
    pushback = -1 if error.retry_after is None else round(error.retry_after * 1000)
    trailers = (
        ("grpc-status-details-bin", to_status(error).SerializeToString()),
        ("grpc-retry-pushback-ms", str(pushback)),
    )
    await context.abort(CODES[error.code], error.text, trailers)
    raise AssertionError("abort returned: that is a bug of gRPC")
