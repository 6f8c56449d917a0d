# SPDX-License-Identifier: Apache-2.0
"""Keeps the decoder processes: one picture each, in order of lane. One that dies or overruns fails its own picture only."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from typing import Self

from imagier_server.decode.decoder import Caps
from imagier_server.decode.formats import Format, sniff
from imagier_server.decode.process import (
    DecoderCrashedError,
    DecoderInterruptedError,
    DecoderOverrunError,
    DecoderProcess,
    DecoderUnavailableError,
    Scale,
)
from imagier_server.errors import ImageTooLargeError, ImagierError, InternalError, InvalidImageError
from imagier_server.logs import log
from imagier_server.messages import Lane, Picture
from imagier_server.metrics import Metrics
from imagier_server.timings import SHARED, Stage, process_clock, processor_time

_UNKNOWN = "unknown"
"""The format of what begins like none of ours."""
_FAILURES: tuple[type[ImagierError], ...] = (
    InvalidImageError,
    ImageTooLargeError,
    DecoderCrashedError,
    DecoderOverrunError,
    DecoderInterruptedError,
    DecoderUnavailableError,
    InternalError,
)
_DEADLY = (DecoderCrashedError, DecoderOverrunError, DecoderInterruptedError, DecoderUnavailableError)


class DecoderPool:
    """`size` decoder processes, replaced when they die. `async with` starts and stops them.

    The callers that wait for one are bounded by admission.
    """

    def __init__(self, size: int, caps: Caps, memory: int, seconds: float, metrics: Metrics) -> None:
        self._caps = caps
        self._memory = memory
        self._seconds = seconds
        self._metrics = metrics
        self._size = size
        self._idle: list[DecoderProcess] = []
        self._waiting: list[tuple[Lane, int, asyncio.Future[None]]] = []
        self._tickets = itertools.count()
        self._free = size
        self._threads = ThreadPoolExecutor(size, "decode")
        metrics.decoders.set(size)
        for fmt in Format:
            metrics.image_bytes.labels(fmt)
            metrics.image_pixels.labels(fmt)
        for fmt, error in itertools.product((*Format, _UNKNOWN), _FAILURES):
            metrics.decoder_failures.labels(fmt, error.reason)

    async def __aenter__(self) -> Self:
        try:
            for _ in range(self._size):
                self._idle.append(DecoderProcess(self._caps, self._memory))
            self._start_threads()
            # All are closed in alike.
            confinement, *_ = [await asyncio.to_thread(idle.confinement) for idle in self._idle]
        except BaseException as error:
            await self.__aexit__()
            if isinstance(error, DecoderUnavailableError | RuntimeError):
                raise ChildProcessError("the decoder processes do not start") from error
            raise
        whole = confinement.landlock > 0 and confinement.seccomp
        log(logging.INFO if whole else logging.WARNING, "decoder confinement", **asdict(confinement))
        return self

    async def __aexit__(self, *_: object) -> None:
        # Every thread ends by itself: a decoder has a bounded time for its answer.
        await asyncio.to_thread(self._threads.shutdown)
        for idle in self._idle:
            idle.stop()
        self._idle.clear()

    def _start_threads(self) -> None:
        """All of them, now: one that fails to start when first needed would keep its picture and its place. Raises RuntimeError."""
        together = threading.Barrier(self._size)  # or the first would do the work of all
        try:
            for _ in range(self._size):
                self._threads.submit(together.wait)
        except RuntimeError:
            together.abort()
            raise

    @property
    def pids(self) -> list[int]:
        """Processes that wait for a picture."""
        return [idle.pid for idle in self._idle]

    async def decode(self, image: bytes, scale: Scale, lane: Lane) -> Picture:
        """The upright picture at `scale` of its size. Raises an `InvalidImageError`, or what is no fault of the picture.

        A caller that goes away while waiting leaves the queue; while its picture is being decoded, the worker finishes alone.
        """
        fmt: Format | None = None
        try:
            fmt = sniff(image)
            await self._acquire(lane)
            decoding = asyncio.get_running_loop().run_in_executor(self._threads, self._decode, image, fmt, scale)
            decoding.add_done_callback(self._release)
            picture = await asyncio.shield(decoding)
        except ImagierError as error:
            self._metrics.decoder_failures.labels(fmt or _UNKNOWN, error.reason).inc()
            raise
        self._metrics.image_bytes.labels(fmt.value).observe(len(image))
        self._metrics.image_pixels.labels(fmt.value).observe(picture.width * picture.height)
        return picture

    def _decode(self, image: bytes, fmt: Format, scale: Scale) -> Picture:
        """In a thread. `_free` says that a worker is idle for each thread that runs."""
        spent = self._metrics.cpu_seconds.labels(SHARED, Stage.DECODE.value).inc
        with (
            self._metrics.decoders_busy.track_inprogress(),
            self._worker() as idle,
            processor_time(spent, process_clock(idle.pid)),
        ):
            return idle.decode(image, fmt, scale, self._seconds)

    @contextmanager
    def _worker(self) -> Iterator[DecoderProcess]:
        held = self._idle.pop()
        try:
            if not held.alive:  # ended from outside while it was idle: no picture's fault
                held = self._replaced(held, "ENDED")
            yield held
        except ImagierError as error:
            if isinstance(error, _DEADLY):
                held = self._replaced(held, error.reason)
            raise
        except Exception as error:
            # A bug in the exchange: nobody knows what the worker would answer next.
            held = self._replaced(held, InternalError.reason)
            raise InternalError from error
        finally:
            self._idle.append(held)

    def _replaced(self, old: DecoderProcess, reason: str) -> DecoderProcess:
        old.stop()
        self._metrics.decoder_restarts.inc()
        log(logging.WARNING, "decoder replaced", reason=reason)
        return DecoderProcess(self._caps, self._memory)

    async def _acquire(self, lane: Lane) -> None:
        if self._free and not self._waiting:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (lane, next(self._tickets), turn))
        try:
            with self._metrics.decoder_waiting.track_inprogress():
                await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()
            raise

    def _release(self, decoding: asyncio.Future[Picture]) -> None:
        if not decoding.cancelled():
            decoding.exception()  # seen, whether or not its caller is still there
        self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
