# SPDX-License-Identifier: Apache-2.0
"""Records how a request ended: trace span, metrics, log."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

from imagier_server.call import CallContext, Lane
from imagier_server.errors import Code, DeadlineError, ImagierError, InternalError
from imagier_server.logs import log, logger
from imagier_server.messages import AnnotateRequest, Pixels, TaskOutcome
from imagier_server.metrics import Metrics
from imagier_server.outcomes import CANCELLED, OK
from imagier_server.timings import Span, Timings

_OURS = 2  # references to a request's picture: its own, and that of the call that counts them


@dataclass(frozen=True, slots=True)
class End:
    """How a request ended. `code` is its metric label; `error` is None if it was answered or cancelled."""

    code: str
    error: ImagierError | None = None


ANSWERED = End(OK)
GIVEN_UP = End(CANCELLED)


class Record:
    """The record of a picture in flight, on which the pipeline writes the outcomes.

    `received` and `decoded`: when the picture had arrived, and its pixels were there, in seconds since 1970.
    """

    __slots__ = ("_pixels", "admitted", "decoded", "outcomes", "received", "timings")

    def __init__(self, span: Span = nullcontext) -> None:
        self.received = self.decoded = time.time()
        self.timings = Timings(span)
        self.outcomes: Mapping[str, TaskOutcome] = {}
        self.admitted = False
        self._pixels: weakref.ref[Pixels] | None = None

    def begin(self) -> None:
        """Note the admission: the wait before it is not part of the work."""
        self.admitted = True
        self.timings.restart()

    def see(self, pixels: Pixels) -> None:
        """Note the decoded pixels, without keeping them."""
        self.decoded = time.time()
        # What owns their memory: every other view keeps that alive.
        self._pixels = weakref.ref(pixels if pixels.base is None else pixels.base)

    def let_go(self, request: AnnotateRequest) -> float | None:
        """Drop the picture file; return when the memory of file and pixels had been given back, None if something holds some."""
        alone = sys.getrefcount(request.image) <= _OURS
        object.__setattr__(request, "image", b"")
        freed = alone and self._pixels is not None and self._pixels() is None
        return time.time() if freed else None


class Recorder:
    """Records the requests of one server."""

    def __init__(self, metrics: Metrics, span: Span = nullcontext) -> None:
        self._metrics = metrics
        self._span = span

    @contextmanager
    def picture(self, request: AnnotateRequest, call: CallContext) -> Iterator[Record]:
        """Record the picture that the block works on. Unexpected exceptions become `InternalError`."""
        record = Record(self._span)
        with _ended("picture failed", call, partial(self._write, request, call, record)), self._span("picture"):
            yield record

    def unread(self, call: CallContext, error: ImagierError) -> None:
        """Record a call that was refused before its request was read: its tasks are not known."""
        self._metrics.count_picture(call, error.code.value, Timings())
        self._metrics.refused_calls.labels(error.cause).inc()

    @contextmanager
    def keywords(self, call: CallContext) -> Iterator[None]:
        """Record the call that the block answers. Unexpected exceptions become `InternalError`."""
        count = self._metrics.keyword_requests
        with _ended("keywords failed", call, lambda end: count.labels(call.transport, end.code).inc()):
            yield

    @contextmanager
    def training(self, call: CallContext) -> Iterator[None]:
        """Record the call that the block answers with a taught label. Unexpected exceptions become `InternalError`."""
        count = self._metrics.vector_requests
        with _ended("training failed", call, lambda end: count.labels("TrainLabel", call.transport, end.code).inc()):
            yield

    @contextmanager
    def texts(self, number: int, call: CallContext) -> Iterator[None]:
        """Record the call that the block answers with the vectors of texts. Unexpected exceptions become `InternalError`."""

        def write(end: End) -> None:
            self._metrics.vector_requests.labels("EmbedText", call.transport, end.code).inc()
            if end is ANSWERED:
                self._metrics.texts.inc(number)

        with _ended("texts failed", call, write):
            yield

    def _write(self, request: AnnotateRequest, call: CallContext, record: Record, end: End) -> None:
        if _not_taken(call, record, end):
            return
        timings = record.timings
        self._metrics.count_picture(call, end.code, timings)
        for task in request.tasks:
            error = record.outcomes[task].error if end is ANSWERED else end.error
            self._metrics.count_task(task, error or end.code, timings)
        log(
            logging.DEBUG,
            "picture",
            transport=call.transport.value,
            lane=call.lane.label,
            code=end.code,
            milliseconds=round(timings.elapsed * 1e3, 1),
        )


def _not_taken(call: CallContext, record: Record, end: End) -> bool:
    """Whether it belongs to a stream that ended before it was admitted: it gets no answer, and the caller resends it."""
    permanent = end.error is not None and end.error.code is Code.INVALID
    streamed = call.lane is Lane.BULK and call.waits_until is None
    return streamed and not record.admitted and not permanent


@contextmanager
def _ended(event: str, call: CallContext, write: Callable[[End], None]) -> Iterator[None]:
    end = _failed(InternalError())
    try:
        yield
        end = ANSWERED
    except ImagierError as error:
        end = _failed(error)
        raise
    except asyncio.CancelledError:
        # gRPC cancels a call past its deadline, possibly before our own clock notices.
        end = _failed(DeadlineError()) if call.seconds_left <= 0 else GIVEN_UP
        raise
    except Exception:
        logger.exception(event)
        raise InternalError from None
    finally:
        write(end)


def _failed(error: ImagierError) -> End:
    return End(error.code.value, error)
