# SPDX-License-Identifier: Apache-2.0
"""Everything that can go wrong, in one family with neutral codes; each transport has one table that maps the codes."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """What a caller should make of a failure."""

    INVALID = "invalid"  # the caller's fault; permanent
    EXHAUSTED = "exhausted"  # too much at once; retryable
    UNAVAILABLE = "unavailable"  # something is down; retryable
    UNSUPPORTED = "unsupported"  # this server does not do that; permanent
    DEADLINE = "deadline"  # time ran out
    INTERNAL = "internal"  # a bug; its text stays with us


class ImagierError(Exception):
    """A failure that a caller may see.

    `reason` is a constant in UPPER_SNAKE_CASE, safe as a metric label. The text is a fixed sentence: it never holds anything
    of the picture, its name or what was read in it. `field` names the request's field at fault. `retry_after` (seconds) is set
    if and only if the same call may succeed later.
    """

    code: Code = Code.INTERNAL
    reason: str = "INTERNAL"
    retry_after: float | None = None

    def __init__(self, text: str, *, field: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.field = field

    @property
    def cause(self) -> str:
        """`reason` for those who run the server: it may tell apart what callers need not."""
        return self.reason


class InvalidRequestError(ImagierError):
    """The request asks for nothing, or an option is out of its range."""

    code = Code.INVALID
    reason = "INVALID_REQUEST"


class InvalidImageError(ImagierError):
    """The picture cannot be read, and never will be."""

    code = Code.INVALID
    reason = "INVALID_IMAGE"

    def __init__(self, text: str) -> None:
        super().__init__(text, field="image")


class ImageTooLargeError(InvalidImageError):
    """The picture exceeds a limit that the catalogue states."""

    reason = "IMAGE_TOO_LARGE"


class Full(StrEnum):
    """What there is too much of: pictures or bytes at the door, requests in a model's queue."""

    PICTURES = "PICTURES_FULL"
    BYTES = "BYTES_FULL"
    QUEUE = "QUEUE_FULL"


class OverloadedError(ImagierError):
    """No room at the door, or a model's queue is full."""

    code = Code.EXHAUSTED
    reason = "OVERLOADED"
    retry_after = 1.0

    def __init__(self, text: str, full: Full) -> None:
        super().__init__(text)
        self._full = full

    @property
    def cause(self) -> str:
        """Which bound was met."""
        return self._full.value


class EngineUnavailableError(ImagierError):
    """Triton does not answer."""

    code = Code.UNAVAILABLE
    reason = "ENGINE_UNAVAILABLE"
    retry_after = 2.0


class ModelUnavailableError(ImagierError):
    """Triton answers, but without this model, or with another one than our labels belong to."""

    code = Code.UNAVAILABLE
    reason = "MODEL_UNAVAILABLE"
    retry_after = 30.0


class ModelNotInstalledError(ImagierError):
    """This server does without this model, and will until somebody installs it."""

    code = Code.UNSUPPORTED
    reason = "MODEL_NOT_INSTALLED"


class DrainingError(ImagierError):
    """This server is shutting down."""

    code = Code.UNAVAILABLE
    reason = "DRAINING"
    retry_after = 1.0


class DeadlineError(ImagierError):
    """The caller's deadline, or our own, has passed."""

    code = Code.DEADLINE
    reason = "DEADLINE_EXCEEDED"

    def __init__(self, text: str = "the deadline passed before the answer was ready") -> None:
        super().__init__(text)


class InternalError(ImagierError):
    """A bug. Strangers get the fixed sentence."""

    def __init__(self, text: str = "internal error") -> None:
        super().__init__(text)


def causes(family: type[ImagierError] = ImagierError) -> set[str]:
    """Every `cause` that an error of the classes imported so far can have: a closed set, so fit for a metric's label."""
    own = set(Full) if family is OverloadedError else {family.reason}
    return {str(cause) for cause in own}.union(*map(causes, family.__subclasses__()))
