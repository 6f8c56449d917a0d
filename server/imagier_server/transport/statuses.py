# SPDX-License-Identifier: Apache-2.0
"""The one table from our codes to those of gRPC, Connect and HTTP. Every transport and every foreign API maps through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from imagier_server.errors import Code, ImageTooLargeError, ImagierError


@dataclass(frozen=True, slots=True)
class Status:
    """What one code is on the wire. `number` and `grpc` are gRPC's; `retryable`: whether the same call may succeed later."""

    number: int
    grpc: str
    http: int
    retryable: bool = False

    @property
    def connect(self) -> str:
        """Connect's code: gRPC's name in lower case."""
        return self.grpc.lower()

    @property
    def connect_http(self) -> int:
        """The HTTP status in Connect's own table, which has no 402."""
        return 400 if self.grpc == "FAILED_PRECONDITION" else self.http


STATUSES: Mapping[Code, Status] = MappingProxyType(
    {
        Code.INVALID: Status(3, "INVALID_ARGUMENT", 400),
        Code.UNAUTHENTICATED: Status(16, "UNAUTHENTICATED", 401),
        Code.UNPAID: Status(9, "FAILED_PRECONDITION", 402),
        Code.FORBIDDEN: Status(7, "PERMISSION_DENIED", 403),
        Code.NOT_FOUND: Status(5, "NOT_FOUND", 404),
        Code.EXHAUSTED: Status(8, "RESOURCE_EXHAUSTED", 429, retryable=True),
        Code.INTERNAL: Status(13, "INTERNAL", 500),
        Code.UNSUPPORTED: Status(12, "UNIMPLEMENTED", 501),
        Code.UNAVAILABLE: Status(14, "UNAVAILABLE", 503, retryable=True),
        Code.DEADLINE: Status(4, "DEADLINE_EXCEEDED", 504),
    }
)

OUTDATED = "OUTDATED_CLIENT"
"""The reason that asks for a newer version of the program that calls."""
_HTTP = {ImageTooLargeError.reason: 413, OUTDATED: 426}
"""HTTP's own status for a reason, where its code's says less."""


def http_status(error: ImagierError) -> int:
    """The HTTP status of an error."""
    return _HTTP.get(error.reason, STATUSES[error.code].http)


def http_headers(error: ImagierError) -> dict[str, str]:
    """HTTP's headers of an error: Retry-After in whole seconds if a retry may help, WWW-Authenticate if a key is missing."""
    headers = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, -int(-error.retry_after // 1)))
    if error.code is Code.UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"
    return headers
