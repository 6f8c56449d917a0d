# SPDX-License-Identifier: Apache-2.0
"""The bookkeeping of many pictures on a stream: what is in flight, what must be sent (again), what an answer means. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from imagier.v1 import annotator_pb2

from imagier_client.codec import decode_annotation
from imagier_client.errors import ImagierClientError, UnavailableError, from_status
from imagier_client.messages import Annotation
from imagier_client.retry import RetryPolicy

K = TypeVar("K")

Answer = tuple[K, Annotation | ImagierClientError]
"""The caller's key for a picture, and what became of it."""


@dataclass(slots=True)
class _InFlight(Generic[K]):
    key: K
    request: annotator_pb2.AnnotateRequest
    attempts: int = 0


class Window(Generic[K]):
    """The pictures in flight, at most `size`, over as many streams as it takes.

    A picture stays in flight until it is answered for good, so that trouble slows the source down. Ids on the wire are the
    window's own: keys may be anything, may repeat, and never leave this machine.
    """

    def __init__(self, size: int, policy: RetryPolicy, languages: Sequence[str]) -> None:
        self.size = size
        self._policy = policy
        self._languages = languages
        self._in_flight: dict[str, _InFlight[K]] = {}
        self._outbox: deque[str] = deque()
        self._count = 0
        self._breaks = 0
        self.delay = 0.0
        """Seconds to wait before anything more is sent; whoever waits sets it back to 0."""

    @property
    def room(self) -> bool:
        """True if another picture may be added."""
        return len(self._in_flight) < self.size

    @property
    def unanswered(self) -> int:
        """How many pictures are in flight."""
        return len(self._in_flight)

    def add(self, key: K, request: annotator_pb2.AnnotateRequest) -> None:
        """Takes a picture on; its request's id is set here."""
        self._count += 1
        request.request_id = str(self._count)
        self._in_flight[request.request_id] = _InFlight(key, request)
        self._outbox.append(request.request_id)

    def next_to_send(self) -> annotator_pb2.AnnotateStreamRequest | None:
        """The next message for the stream, if any."""
        while self._outbox:
            item = self._in_flight.get(self._outbox.popleft())
            if item is not None:
                item.attempts += 1
                return annotator_pb2.AnnotateStreamRequest(request=item.request)
        return None

    def receive(self, message: annotator_pb2.AnnotateStreamResponse) -> Answer[K] | None:
        """What an answer means for the caller: `None` if its picture will be sent again, after `delay`."""
        item = self._in_flight.get(message.request_id)
        if item is None:
            return None  # answered before: a resent picture may be answered twice
        self._breaks = 0
        if message.HasField("error"):
            error = from_status(message.error)
            delay = self._policy.delay(error, item.attempts)
            if delay is not None:
                self.delay = max(self.delay, delay)
                if message.request_id not in self._outbox:
                    self._outbox.append(message.request_id)
                return None
            outcome: Annotation | ImagierClientError = error
        else:
            message.response.request_id = ""
            outcome = decode_annotation(message.response, self._languages)
        del self._in_flight[message.request_id]
        return item.key, outcome

    def broken(self, error: ImagierClientError | None) -> None:
        """The stream ended: by `error`, or of itself. What is unanswered will be sent on the next one, after `delay`.

        Raises the error if it is permanent, or if several streams in a row ended without one answer.
        """
        if not self._in_flight:
            return
        error = error or UnavailableError("the stream ended before all was answered", retryable=True)
        self._breaks += 1
        delay = self._policy.delay(error, self._breaks)
        if delay is None:
            raise error
        self.delay = max(self.delay, delay)
        self._outbox = deque(self._in_flight)
