# SPDX-License-Identifier: Apache-2.0
"""All errors that a caller may see: one family with neutral codes, which each transport maps in one table."""

from __future__ import annotations

from enum import StrEnum
from random import uniform
from typing import Self


class Code(StrEnum):
    """What a caller should make of a failure."""

    INVALID = "invalid"  # the caller's fault; permanent
    UNAUTHENTICATED = "unauthenticated"  # no valid key; permanent
    FORBIDDEN = "forbidden"  # the key does not allow it; permanent
    UNPAID = "unpaid"  # too few credits; permanent until there are more
    NOT_FOUND = "not_found"  # permanent
    EXHAUSTED = "exhausted"  # over capacity; retryable
    UNAVAILABLE = "unavailable"  # something is down; retryable
    UNSUPPORTED = "unsupported"  # not offered by this server; permanent
    DEADLINE = "deadline"  # the deadline passed
    INTERNAL = "internal"  # a bug; its text is not passed on


class ImagierError(Exception):
    """A failure that a caller may see.

    `reason` is a constant in UPPER_SNAKE_CASE, safe as a metric label. The text is a fixed sentence that never quotes the
    picture, its name or what was read in it. `field` names the request's field at fault. `retry_after` (seconds) is set
    if and only if a retry may succeed. `used_up` names the limit that is reached: whose and of what, as in `key:pictures`.
    """

    code: Code = Code.INTERNAL
    reason: str = "INTERNAL"
    retry_after: float | None = None
    used_up: str | None = None

    def __init__(self, text: str, *, field: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.field = field
        if retry_after is not None:
            self.retry_after = retry_after
        elif self.retry_after is not None:
            # Jitter: callers refused together must not retry together.
            self.retry_after *= uniform(1.0, 1.5)  # noqa: S311 - no secret

    def without_traceback(self) -> Self:
        """Drop the traceback, whose frames hold the picture and often a reference cycle; return self."""
        self.__traceback__ = self.__context__ = self.__cause__ = None
        return self

    @property
    def cause(self) -> str:
        """`reason` for operators: may be more specific than what callers get."""
        return self.reason


class InvalidRequestError(ImagierError):
    """The request names no task, or an option is out of range."""

    code = Code.INVALID
    reason = "INVALID_REQUEST"


class MalformedRequestError(ImagierError):
    """The bytes are not a message of this call, or far too large."""

    code = Code.INVALID
    reason = "MALFORMED_REQUEST"


class WordyRequestError(MalformedRequestError):
    """The request parses, but everything besides the picture is too large."""


class UnauthenticatedError(ImagierError):
    """The call has no key, or one that is wrong, expired or revoked. Callers are not told which."""

    code = Code.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class ForbiddenError(ImagierError):
    """The key does not allow what is asked for."""

    code = Code.FORBIDDEN
    reason = "FORBIDDEN"


class UnpaidError(ImagierError):
    """Too few credits for the tasks asked for; permanent until more are granted."""

    code = Code.UNPAID
    reason = "CREDITS_USED_UP"


class CreditsReservedError(ImagierError):
    """Enough credits, but too many of them are reserved for work in flight."""

    code = Code.EXHAUSTED
    reason = "CREDITS_RESERVED"
    retry_after = 1.0


class LedgerUnavailableError(ImagierError):
    """The database of keys and credits does not answer."""

    code = Code.UNAVAILABLE
    reason = "LEDGER_UNAVAILABLE"
    retry_after = 2.0

    def __init__(self) -> None:
        super().__init__("keys and credits cannot be checked now: try again later")


class UnknownModelError(ImagierError):
    """A foreign API's request names a model that this server does not have."""

    code = Code.NOT_FOUND
    reason = "UNKNOWN_MODEL"


class NothingFoundError(ImagierError):
    """The picture was read, but the caller's format cannot say that nothing was found in it."""

    code = Code.INVALID
    reason = "NOTHING_FOUND"


class InvalidImageError(ImagierError):
    """The picture cannot be read; permanent."""

    code = Code.INVALID
    reason = "INVALID_IMAGE"

    def __init__(self, text: str, field: str = "image") -> None:
        super().__init__(text, field=field)


class ImageTooLargeError(InvalidImageError):
    """The picture exceeds a limit that the catalogue states."""

    reason = "IMAGE_TOO_LARGE"


class LongSideError(ImageTooLargeError):
    """A side of the picture is longer than the foreign API that was called takes."""


class Full(StrEnum):
    """The exhausted limit: pictures, bytes, a caller's share, requests being received, a model's queue, time, tickets."""

    PICTURES = "PICTURES_FULL"
    BYTES = "BYTES_FULL"
    CALLER = "CALLER_FULL"
    ARRIVING = "ARRIVING_FULL"
    QUEUE = "QUEUE_FULL"
    TIME = "TIME_TOO_SHORT"
    TICKETS = "TICKETS_FULL"
    TICKET_BYTES = "TICKET_BYTES_FULL"


_USED_UP = {
    Full.PICTURES: "server:in_flight",
    Full.BYTES: "server:in_flight_bytes",
    Full.CALLER: "caller:in_flight",
    Full.ARRIVING: "server:arriving",
    Full.QUEUE: "model:queue",
    Full.TICKETS: "server:tickets",
    Full.TICKET_BYTES: "server:ticket_bytes",
}


class OverloadedError(ImagierError):
    """Admission or a model's queue is at capacity, or the queue is longer than the call's deadline allows.

    `retry_after`: from the present queue, where it is known.
    """

    code = Code.EXHAUSTED
    reason = "OVERLOADED"
    retry_after = 1.0

    def __init__(self, text: str, full: Full, *, retry_after: float | None = None) -> None:
        super().__init__(text, retry_after=retry_after)
        self._full = full
        self.used_up = _USED_UP.get(full)

    @property
    def cause(self) -> str:
        """The exhausted limit."""
        return self._full.value


class Quota(StrEnum):
    """The quota that is used up: pictures in a moving window, in flight, or their bytes, tickets; a key's, or that of all keys."""

    KEY_PICTURES = "KEY_PICTURES"
    KEY_IN_FLIGHT = "KEY_IN_FLIGHT"
    KEY_IN_FLIGHT_BYTES = "KEY_IN_FLIGHT_BYTES"
    KEY_TICKETS = "KEY_TICKETS"
    SERVER_PICTURES = "SERVER_PICTURES"


class QuotaError(ImagierError):
    """A quota of the caller's key, or of all keys together, is used up; `retry_after` is until there is room again."""

    code = Code.EXHAUSTED
    reason = "QUOTA_EXCEEDED"
    retry_after = 1.0

    def __init__(self, text: str, quota: Quota, *, retry_after: float) -> None:
        super().__init__(text, retry_after=retry_after)
        self._quota = quota
        whose, _, what = quota.value.lower().partition("_")
        self.used_up = f"{whose}:{what}"

    @property
    def cause(self) -> str:
        """The quota that is used up."""
        return self._quota.value


class EngineUnavailableError(ImagierError):
    """Triton does not answer."""

    code = Code.UNAVAILABLE
    reason = "ENGINE_UNAVAILABLE"
    retry_after = 2.0


class ModelUnavailableError(ImagierError):
    """Triton answers, but without this model, or with another one than models.lock names."""

    code = Code.UNAVAILABLE
    reason = "MODEL_UNAVAILABLE"
    retry_after = 30.0


class ModelFailedError(ModelUnavailableError):
    """The model fails every inference on one engine: its process died or hangs, or its GPU is in an error state."""

    retry_after = 2.0


class OutOfStepError(ModelFailedError):
    """Triton and a model's process are out of step: answers may be other requests' until Triton starts again."""


class ModelNotInstalledError(ImagierError):
    """This server does not have the model; permanent until it is installed."""

    code = Code.UNSUPPORTED
    reason = "MODEL_NOT_INSTALLED"


class ReceiptsNotOfferedError(ImagierError):
    """This server has no key to sign receipts with; permanent until it has."""

    code = Code.UNSUPPORTED
    reason = "RECEIPTS_NOT_OFFERED"

    def __init__(self) -> None:
        super().__init__(
            "this server signs no receipts: its catalogue would have a receipt_key", field="processing_receipt"
        )


class DrainingError(ImagierError):
    """This server is shutting down."""

    code = Code.UNAVAILABLE
    reason = "DRAINING"
    retry_after = 1.0


class DeadlineError(ImagierError):
    """The caller's deadline, or the server's default, has passed."""

    code = Code.DEADLINE
    reason = "DEADLINE_EXCEEDED"

    def __init__(self, text: str = "the deadline passed before the answer was ready") -> None:
        super().__init__(text)


class InternalError(ImagierError):
    """A bug. Callers get a fixed sentence."""

    def __init__(self, text: str = "internal error") -> None:
        super().__init__(text)


def causes(family: type[ImagierError] = ImagierError) -> set[str]:
    """All values of `cause` for the error classes imported so far: a closed set, fit for a metric label."""
    own = {OverloadedError: set[str](Full), QuotaError: set[str](Quota)}.get(family, {family.reason})
    return {str(cause) for cause in own}.union(*map(causes, family.__subclasses__()))
