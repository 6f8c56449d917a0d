# SPDX-License-Identifier: Apache-2.0
"""A pool of decoder processes: one picture each, interactive lane first, groups of callers in turn.

A crash or overrun fails only that picture.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Self

from imagier_server.call import CallContext, Lane
from imagier_server.decode.formats import Format, sniff
from imagier_server.decode.process import (
    DecoderCrashedError,
    DecoderInterruptedError,
    DecoderOverrunError,
    DecoderProcess,
    DecoderUnavailableError,
    Scale,
)
from imagier_server.decode.refusals import Caps
from imagier_server.errors import ImageTooLargeError, ImagierError, InternalError, InvalidImageError
from imagier_server.logs import log
from imagier_server.messages import Picture
from imagier_server.metrics import Metrics
from imagier_server.timings import SHARED, Stage, cpu_time, process_clock
from imagier_server.turns import Turns

_UNKNOWN = "unknown"
"""The format label for unsupported files."""
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

    Admission bounds the waiting callers.
    """

    def __init__(self, size: int, caps: Caps, memory: int, seconds: float, metrics: Metrics) -> None:
        self._caps = caps
        self._memory = memory
        self._seconds = seconds
        self._metrics = metrics
        self._size = size
        self._idle: list[DecoderProcess] = []
        self._waiting: dict[Lane, Turns[asyncio.Future[None]]] = {lane: Turns() for lane in sorted(Lane)}
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
            # All have the same sandbox.
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
        # Every thread ends by itself, because decoding has a time limit.
        await asyncio.to_thread(self._threads.shutdown)
        for idle in self._idle:
            idle.stop()
        self._idle.clear()

    def _start_threads(self) -> None:
        """Start all threads now: one that failed to start later would keep its picture and its permit. Raises RuntimeError."""
        together = threading.Barrier(self._size)  # else the first thread would take all jobs
        try:
            for _ in range(self._size):
                self._threads.submit(together.wait)
        except RuntimeError:
            together.abort()
            raise

    @property
    def pids(self) -> list[int]:
        """Idle processes."""
        return [idle.pid for idle in self._idle]

    async def decode(self, image: bytes, scale: Scale, call: CallContext) -> Picture:
        """Decode the upright picture at `scale` of its size. Raises `InvalidImageError`, or what is not the picture's fault.

        A cancelled caller leaves the queue; a decode that has started runs to its end.
        """
        fmt: Format | None = None
        try:
            fmt = sniff(image)
            await self._acquire(call)
            # In a list that is emptied: a thread keeps its last arguments for a moment.
            decoding = asyncio.get_running_loop().run_in_executor(self._threads, self._decode, [image], fmt, scale)
            decoding.add_done_callback(self._release)
            picture = await asyncio.shield(decoding)
        except ImagierError as error:
            self._metrics.decoder_failures.labels(fmt or _UNKNOWN, error.reason).inc()
            raise
        self._metrics.image_bytes.labels(fmt.value).observe(len(image))
        self._metrics.image_pixels.labels(fmt.value).observe(picture.width * picture.height)
        return picture

    def _decode(self, image: list[bytes], fmt: Format, scale: Scale) -> Picture:
        """Decode in a thread; `_free` guarantees an idle worker for each running thread."""
        taken = 0.0

        def spent(seconds: float) -> None:
            nonlocal taken
            taken = seconds
            self._metrics.cpu_seconds.labels(SHARED, Stage.DECODE.value).inc(seconds)

        with (
            self._metrics.decoders_busy.track_inprogress(),
            self._worker() as idle,
            cpu_time(spent, process_clock(idle.pid)),
        ):
            picture = idle.decode(image.pop(), fmt, scale, self._seconds)
        return replace(picture, cpu_seconds=taken)

    @contextmanager
    def _worker(self) -> Iterator[DecoderProcess]:
        held = self._idle.pop()
        try:
            if not held.alive:  # killed from outside while idle: no picture's fault
                held = self._replaced(held, "ENDED")
            yield held
        except ImagierError as error:
            if isinstance(error, _DEADLY):
                held = self._replaced(held, error.reason)
            raise
        except Exception as error:
            # A bug in the protocol: the worker's state is unknown.
            held = self._replaced(held, InternalError.reason)
            raise InternalError from error
        finally:
            self._idle.append(held)

    def _replaced(self, old: DecoderProcess, reason: str) -> DecoderProcess:
        old.stop()
        self._metrics.decoder_restarts.inc()
        log(logging.WARNING, "decoder replaced", reason=reason)
        return DecoderProcess(self._caps, self._memory)

    async def _acquire(self, call: CallContext) -> None:
        if self._free:
            self._free -= 1
            return
        granted = asyncio.get_running_loop().create_future()
        turns = self._waiting[call.lane]
        turn = turns.add(call.caller.group, granted)
        try:
            with self._metrics.decoder_waiting.track_inprogress():
                await granted
        except asyncio.CancelledError:
            turns.leave(turn)
            if granted.done() and not granted.cancelled():
                self._pass_on()
            raise

    def _release(self, decoding: asyncio.Future[Picture]) -> None:
        if not decoding.cancelled():
            decoding.exception()  # retrieved, whether or not its caller is still there
        self._pass_on()

    def _pass_on(self) -> None:
        for turns in self._waiting.values():
            while turn := turns.first():
                if turn.item.done():  # its caller is gone
                    turns.leave(turn)
                    continue
                turns.take(turn)
                turn.item.set_result(None)
                return
        self._free += 1
