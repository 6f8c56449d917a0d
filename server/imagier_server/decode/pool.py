# SPDX-License-Identifier: Apache-2.0
"""Keeps the decoder processes: one picture each, in order of lane. One that crashes or overruns fails its own picture only."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Self

import numpy as np

from imagier_server.decode import worker
from imagier_server.decode.decoder import Caps
from imagier_server.decode.formats import Format, sniff
from imagier_server.errors import ImageTooLargeError, ImagierError, InternalError, InvalidImageError
from imagier_server.logs import log
from imagier_server.messages import Lane, Picture
from imagier_server.metrics import Metrics

Scale = Callable[[int, int], float]
"""(upright width, upright height) in pixels → the scale to decode at, 0 < s ≤ 1."""


class DecoderCrashedError(InvalidImageError):
    """The decoder died of this picture."""

    reason = "DECODER_CRASHED"


class DecoderOverrunError(InvalidImageError):
    """The decoder took too long over this picture."""

    reason = "DECODER_OVERRUN"


class _Worker:
    """One decoder process and our end of its socket. Used by one thread at a time."""

    def __init__(self, caps: Caps, memory: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            descriptor = theirs.fileno()
            arguments = [str(number) for number in (descriptor, memory, caps.pixels, caps.side)]
            self._process = subprocess.Popen(
                # -P: what lies in the working directory is nobody's module.
                [sys.executable, "-P", "-m", worker.__name__, *arguments],
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # a codec's complaint may quote the picture
                env={"OMP_NUM_THREADS": "1"},
            )
        self._connection = Connection(ours.detach())

    def decode(self, image: bytes, fmt: Format, scale: Scale, seconds: float) -> Picture:
        """Blocks. Any `InvalidImageError` but a crash or an overrun leaves the worker fit for the next picture."""
        try:
            self._connection.send_bytes(fmt.value.encode("ascii"))
            self._connection.send_bytes(image)
            width = height = 0
            while True:
                if not self._connection.poll(seconds):
                    raise DecoderOverrunError(f"decoding took longer than {seconds:g} seconds")
                answer = self._connection.recv_bytes()
                kind, rest = answer[0], answer[1:]
                if kind == worker.HEADER:
                    width, height = worker.SIZE.unpack(rest)
                    self._connection.send_bytes(worker.SCALE.pack(scale(width, height)))
                elif kind == worker.PIXELS:
                    columns, rows = worker.SIZE.unpack(rest)
                    data = self._connection.recv_bytes()
                    return Picture(np.frombuffer(data, np.uint8).reshape(rows, columns, 3), width, height)
                elif kind == worker.TOO_LARGE:
                    raise ImageTooLargeError(rest.decode())
                elif kind == worker.REFUSED:
                    raise InvalidImageError(rest.decode())
                else:
                    raise InvalidImageError("the picture file is broken")
        except (EOFError, ConnectionError) as error:
            raise DecoderCrashedError("the decoder crashed on this picture") from error

    def stop(self) -> None:
        """Ends the process, whatever it does."""
        self._connection.close()
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid


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
        self._idle: list[_Worker] = []
        self._waiting: list[tuple[Lane, int, asyncio.Future[None]]] = []
        self._tickets = itertools.count()
        self._free = size
        self._threads = ThreadPoolExecutor(size, "decode")

    async def __aenter__(self) -> Self:
        self._idle = [_Worker(self._caps, self._memory) for _ in range(self._size)]
        return self

    async def __aexit__(self, *_: object) -> None:
        # Every thread ends by itself: a worker's answers are awaited for a bounded time.
        await asyncio.to_thread(self._threads.shutdown)
        for idle in self._idle:
            idle.stop()
        self._idle.clear()

    @property
    def pids(self) -> list[int]:
        """Processes that wait for a picture."""
        return [idle.pid for idle in self._idle]

    async def decode(self, image: bytes, scale: Scale, lane: Lane) -> Picture:
        """The upright picture at `scale` of its size, or an `InvalidImageError`.

        A caller that goes away while waiting leaves the queue; while its picture is being decoded, the worker finishes alone.
        """
        try:
            fmt = sniff(image)
            await self._acquire(lane)
            decoding = asyncio.get_running_loop().run_in_executor(self._threads, self._decode, image, fmt, scale)
            decoding.add_done_callback(self._release)
            picture = await asyncio.shield(decoding)
        except ImagierError as error:
            self._metrics.decoder_failures.labels(error.reason).inc()
            raise
        self._metrics.image_bytes.labels(fmt.value).observe(len(image))
        self._metrics.image_pixels.observe(picture.width * picture.height)
        return picture

    def _decode(self, image: bytes, fmt: Format, scale: Scale) -> Picture:
        """In a thread. `_free` says that a worker is idle for each thread that runs."""
        with self._worker() as idle:
            return idle.decode(image, fmt, scale, self._seconds)

    @contextmanager
    def _worker(self) -> Iterator[_Worker]:
        held = self._idle.pop()
        try:
            yield held
        except (DecoderCrashedError, DecoderOverrunError) as error:
            held.stop()
            held = _Worker(self._caps, self._memory)
            self._metrics.decoder_restarts.inc()
            log(logging.WARNING, "decoder replaced", reason=error.reason)
            raise
        except InvalidImageError:
            raise
        except Exception as error:
            # A bug in the exchange: nobody knows what the worker would answer next.
            held.stop()
            held = _Worker(self._caps, self._memory)
            raise InternalError from error
        finally:
            self._idle.append(held)

    async def _acquire(self, lane: Lane) -> None:
        if self._free and not self._waiting:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (lane, next(self._tickets), turn))
        try:
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
