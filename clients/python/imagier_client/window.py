# SPDX-License-Identifier: Apache-2.0
"""The bookkeeping of many pictures on a stream: which are in flight, when each is sent or sent again, what an answer means."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

from google.rpc import status_pb2
from imagier.v1 import annotator_pb2

from imagier_client import merging
from imagier_client.codec import decode_annotation
from imagier_client.errors import ImagierClientError, UnavailableError, from_status
from imagier_client.messages import Annotation
from imagier_client.retry import RetryPolicy
from imagier_client.tasks import envelope

K = TypeVar("K")

Answer = tuple[K, Annotation | ImagierClientError]
"""The caller's key for a picture, and its outcome."""

_PICTURE = ""
"""The picture as a whole, among names of tasks."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The reason of a wait: all `pictures` in flight failed for now, and the next is sent again in `seconds`.

    `error` is the last failure, `elapsed` the seconds since the first one, `patience` how long that may go on.
    """

    error: ImagierClientError
    seconds: float
    elapsed: float
    patience: float
    pictures: int


@dataclass(slots=True)
class _InFlight(Generic[K]):
    """A picture in flight: `request` asks for what `partial`, the answer so far, lacks; `since` is when it first failed."""

    key: K
    request: annotator_pb2.AnnotateRequest
    attempts: int = 0
    since: float | None = None
    partial: annotator_pb2.AnnotateResponse | None = None


class _Verdict(Enum):
    AGAIN = auto()
    """Ask for it again."""
    OVER = auto()
    """Answer it: nothing of it is retryable, or it has been retried for `patience`."""
    SPENT = auto()
    """End the run: others have been retried for `patience`, and nothing has succeeded since."""


class Window(Generic[K]):
    """The pictures in flight, at most `size`, over as many streams as it takes.

    A picture stays in flight until it is answered for good, so that trouble slows the source down. Ids on the wire are the
    window's own: keys may be anything, may repeat, and never leave this machine. `seconds` are those that the work on one picture
    may take; `None` leaves that to the server.
    """

    def __init__(
        self,
        size: int,
        policy: RetryPolicy,
        languages: Sequence[str],
        seconds: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.size = size
        self._policy = policy
        self._patience = policy.patience if policy.max_attempts > 1 else 0.0
        self._languages = languages
        self._seconds = seconds
        self._clock = clock
        self._in_flight: dict[str, _InFlight[K]] = {}
        self._due: dict[str, float] = {}  # when what is not at the server may be sent; in the order of sending
        self._count = 0
        self._breaks = 0
        self._broken_since: float | None = None
        self._failing_since: dict[str, float] = {}  # a task, or _PICTURE, that has not succeeded since
        self._error: ImagierClientError = UnavailableError("")
        self._told: object = None

    @property
    def room(self) -> bool:
        """Whether another picture may be added."""
        return len(self._in_flight) < self.size

    @property
    def unanswered(self) -> int:
        """The number of pictures in flight."""
        return len(self._in_flight)

    @property
    def asked(self) -> int:
        """The number of pictures that the server has been asked for."""
        return len(self._in_flight) - len(self._due)

    @property
    def wait(self) -> float | None:
        """Seconds until the next is due to be sent; `None` if none is."""
        return max(0.0, min(self._due.values()) - self._clock()) if self._due else None

    def waiting(self) -> Waiting | None:
        """Returns why all pictures in flight wait, once for each time that they do; else `None`."""
        wait = self.wait
        if self.asked or not wait or self._told == self._due:
            return None
        self._told = dict(self._due)
        now = self._clock()
        began = [self._broken_since, *(item.since for item in self._in_flight.values())]
        elapsed = now - min((since for since in began if since is not None), default=now)
        return Waiting(self._error, wait, elapsed, self._patience, len(self._in_flight))

    def add(self, key: K, request: annotator_pb2.AnnotateRequest) -> None:
        """Adds a picture, and sets its request's id."""
        self._count += 1
        request.request_id = str(self._count)
        self._in_flight[request.request_id] = _InFlight(key, request)
        self._due[request.request_id] = self._clock()

    def next_to_send(self) -> annotator_pb2.AnnotateStreamRequest | None:
        """Returns the next message for the stream, if one is due."""
        now = self._clock()
        for request_id, due in self._due.items():
            if due <= now:
                del self._due[request_id]
                item = self._in_flight[request_id]
                item.attempts += 1
                message = annotator_pb2.AnnotateStreamRequest(request=item.request)
                if self._seconds is not None:
                    message.timeout.FromNanoseconds(round(self._seconds * 1e9))
                return message
        return None

    def receive(self, message: annotator_pb2.AnnotateStreamResponse) -> Answer[K] | None:
        """Takes an answer; returns the caller's, or `None` if the picture, or some of its tasks, will be asked for again.

        Raises the picture's error if others before it were retried for `patience` in vain.
        """
        item = self._in_flight.get(message.request_id)
        if item is None:
            return None  # answered before: a resent picture may be answered twice
        self._breaks, self._broken_since = 0, None
        outcome: Annotation | ImagierClientError | None
        if message.HasField("error"):
            outcome = self._refused(message.request_id, item, message.error)
        else:
            outcome = self._read(message.request_id, item, message.response)
        if outcome is None:
            return None
        del self._in_flight[message.request_id]
        self._due.pop(message.request_id, None)
        return item.key, outcome

    def broken(self, error: ImagierClientError | None) -> None:
        """Notes that the stream ended, with `error` or without. Unanswered pictures are due again on the next one, after a backoff.

        Raises the error if it is permanent, or if no stream has brought an answer for `patience`.
        """
        if not self._in_flight:
            return
        error = error or UnavailableError("the stream ended before all was answered", retryable=True)
        now = self._clock()
        self._breaks += 1
        self._broken_since = now if self._broken_since is None else self._broken_since
        delay = self._policy.wait(error, self._breaks) if error.retryable else None
        if delay is None or now + delay > self._broken_since + self._patience:
            raise error
        self._error = error
        self._due = dict.fromkeys(self._in_flight, now + delay)

    def _refused(
        self, request_id: str, item: _InFlight[K], status: status_pb2.Status
    ) -> Annotation | ImagierClientError | None:
        error = from_status(status)
        verdict = self._judge(request_id, item, {_PICTURE: error} if error.retryable else {})
        if verdict is _Verdict.AGAIN:
            return None
        if item.partial is not None:
            merging.fail(item.partial, envelope.asked(item.request), status)
            return self._decoded(item.partial)
        if verdict is _Verdict.SPENT:
            raise error
        return error

    def _read(self, request_id: str, item: _InFlight[K], response: annotator_pb2.AnnotateResponse) -> Annotation | None:
        for task in merging.succeeded(response):
            self._failing_since.pop(task, None)
            self._failing_since.pop(_PICTURE, None)
        whole, item.partial = item.partial, None
        if whole is None:
            whole = response
        else:
            merging.add(whole, response)
        passing = {task: error for task, error in merging.failed(response).items() if error.retryable}
        verdict = self._judge(request_id, item, passing)
        if verdict is _Verdict.AGAIN:
            item.partial = whole
            return None
        if (
            verdict is _Verdict.SPENT
            and len(passing) == len(envelope.asked(item.request))
            and not merging.succeeded(whole)
        ):
            raise next(iter(passing.values()))
        return self._decoded(whole)

    def _judge(self, request_id: str, item: _InFlight[K], passing: Mapping[str, ImagierClientError]) -> _Verdict:
        """Decides about retryable failures, and schedules the picture's next attempt if there is to be one."""
        if not passing:
            self._failing_since.pop(_PICTURE, None)
            return _Verdict.OVER
        now = self._clock()
        item.since = now if item.since is None else item.since
        delays = {task: self._policy.wait(error, item.attempts) for task, error in passing.items()}
        begun = {task: self._failing_since.setdefault(task, now) for task in passing}
        worth = {
            task: delay for task, delay in delays.items() if now + delay < min(begun[task], item.since) + self._patience
        }
        if worth:
            if _PICTURE not in worth:
                envelope.ask_only(item.request, worth)
            self._error = passing[max(worth, key=delays.__getitem__)]
            self._due[request_id] = now + max(worth.values())
            return _Verdict.AGAIN
        waited = now + min(delays.values()) >= item.since + self._patience
        return _Verdict.OVER if waited else _Verdict.SPENT

    def _decoded(self, response: annotator_pb2.AnnotateResponse) -> Annotation:
        response.request_id = ""
        return decode_annotation(response, self._languages)
