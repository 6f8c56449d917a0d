# SPDX-License-Identifier: Apache-2.0
"""Makes gRPC statuses of errors, with google.rpc details, and the retry pushback for gRPC's own clients."""

from __future__ import annotations

from functools import lru_cache
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
    details = list(_details(error.reason, error.text, error.field, error.used_up))
    if error.retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(round(error.retry_after * 1000))
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    return status_pb2.Status(code=STATUSES[error.code].number, message=error.text, details=details)


@lru_cache(256)  # a full server refuses many calls for one reason
def _details(reason: str, text: str, field: str | None, used_up: str | None) -> tuple[any_pb2.Any, ...]:
    """All details but RetryInfo."""
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN)]
    if field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=text)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if used_up:
        violated = error_details_pb2.QuotaFailure.Violation(subject=used_up, description=text)
        details.append(error_details_pb2.QuotaFailure(violations=[violated]))
    return tuple(map(_packed, details))


def _packed(detail: Message) -> any_pb2.Any:
    envelope = any_pb2.Any()
    envelope.Pack(detail)
    return envelope


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
