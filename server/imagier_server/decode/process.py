# SPDX-License-Identifier: Apache-2.0
"""The gateway's side of one decoder process: time limits for each picture, and no trust in its answers."""

from __future__ import annotations

import math
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from imagier_server.decode import worker
from imagier_server.decode.confinement import Confinement
from imagier_server.decode.formats import Format
from imagier_server.decode.refusals import Caps
from imagier_server.errors import Code, ImageTooLargeError, ImagierError, InvalidImageError
from imagier_server.messages import Picture
from imagier_server.timings import process_clock

Scale = Callable[[int, int], float]
"""(upright width, upright height) in pixels → the scale to decode at, 0 < s ≤ 1."""

_START_SECONDS = 60.0
_PATIENCE = 2
"""Wall time limit per second of CPU time: a decoder shares its machine."""
_END_SECONDS = 1.0
"""Seconds to wait for the exit status after a decoder's socket closes."""
_LENGTH = struct.Struct("!i")
_LONGEST_WORD = 256
"""Maximum bytes of an answer without pixels."""
_ORIENTATIONS = range(1, 9)


class DecoderCrashedError(InvalidImageError):
    """The decoder crashed on this picture."""

    reason = "DECODER_CRASHED"


class DecoderOverrunError(InvalidImageError):
    """The decoder exceeded its CPU time on this picture."""

    reason = "DECODER_OVERRUN"


class DecoderUnavailableError(ImagierError):
    """No decoder process could be started; not the picture's fault."""

    code = Code.UNAVAILABLE
    reason = "DECODER_UNAVAILABLE"
    retry_after = 2.0


class DecoderInterruptedError(ImagierError):
    """The decoder was killed from outside or got too little CPU time; not the picture's fault."""

    code = Code.UNAVAILABLE
    reason = "DECODER_INTERRUPTED"
    retry_after = 2.0


class DecoderProcess:
    """Starts the process, which is ready a little later. For one thread at a time. Raises `DecoderUnavailableError`."""

    def __init__(self, caps: Caps, memory: int) -> None:
        self._caps = caps
        self._confinement: Confinement | None = None
        try:
            ours, theirs = socket.socketpair()
            with ours, theirs:
                descriptor = theirs.fileno()
                arguments = [str(number) for number in (descriptor, memory, caps.pixels, caps.side)]
                self._process = subprocess.Popen(
                    # -P: never import from the working directory.
                    [sys.executable, "-P", "-m", worker.__name__, *arguments],
                    pass_fds=[descriptor],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # a codec's message may quote the picture
                    env={"OMP_NUM_THREADS": "1"},
                )
                self._socket = ours.dup()
        except OSError as error:
            raise DecoderUnavailableError("no decoder process could be started") from error

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def confinement(self) -> Confinement:
        """Return the active sandbox, blocking until it is set up. Raises `DecoderUnavailableError` if the process fails."""
        if self._confinement is None:
            self._deadline, self._budget = time.monotonic() + _START_SECONDS, math.inf
            try:
                said = worker.CONFINEMENT.unpack(self._receive(worker.CONFINEMENT.size))
            except (EOFError, OSError, struct.error) as error:
                raise DecoderUnavailableError("no decoder process could be started") from error
            self._confinement = Confinement(*said)
        return self._confinement

    def decode(self, image: bytes, fmt: Format, scale: Scale, seconds: float) -> Picture:
        """Decode one picture, within `seconds` of CPU time and `_PATIENCE` times as much wall time.

        After a crash, overrun or interruption the process must be stopped; after a refusal it can go on.
        """
        self.confinement()
        self._deadline = time.monotonic() + _PATIENCE * seconds
        try:
            self._budget = self._spent() + seconds
            return self._exchange(image, fmt, scale)
        except TimeoutError as error:
            if self._spent() >= self._budget:
                raise DecoderOverrunError(f"decoding took more than {seconds:g} seconds of CPU time") from error
            raise DecoderInterruptedError("the decoder got too little CPU time: the machine is overloaded") from error
        except (EOFError, OSError, struct.error) as error:
            if self._killed():
                raise DecoderInterruptedError("the decoder process was killed from outside") from error
            raise DecoderCrashedError("the decoder crashed on this picture") from error

    def stop(self) -> None:
        """Kill the process."""
        self._socket.close()
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()

    def _exchange(self, image: bytes, fmt: Format, scale: Scale) -> Picture:
        self._send(fmt.value.encode("ascii"))
        self._send(image)
        width, height = self._size(worker.HEADER, self._caps.side, self._caps.side)
        if width * height > self._caps.pixels:
            raise OSError("a size that is not allowed")
        self._send(worker.SCALE.pack(scale(width, height)))
        columns, rows = self._size(worker.PIXELS, width, height)
        (orientation,) = worker.ORIENTATION.unpack(self._receive(worker.ORIENTATION.size))
        if orientation not in _ORIENTATIONS:
            raise OSError("an orientation that there is not")
        pixels = self._receive(columns * rows * 3)
        if len(pixels) != columns * rows * 3:
            raise OSError("not as many pixels as announced")
        rgb = np.frombuffer(pixels.toreadonly(), np.uint8).reshape(rows, columns, 3)
        return Picture(rgb, width, height, orientation=orientation)

    def _size(self, expected: bytes, most_wide: int, most_high: int) -> tuple[int, int]:
        """Return the (width, height) in an answer of the expected kind. Raises the refusal that came instead."""
        answer = bytes(self._receive(_LONGEST_WORD))
        kind, rest = answer[:1], answer[1:]
        if kind == worker.TOO_LARGE:
            raise ImageTooLargeError(rest.decode("ascii", "replace"))
        if kind == worker.REFUSED:
            raise InvalidImageError(rest.decode("ascii", "replace"))
        if kind == worker.BROKEN:
            raise InvalidImageError("the picture file is damaged, truncated or of an unsupported kind")
        if kind != expected:
            raise OSError("not the answer expected")
        width, height = worker.SIZE.unpack(rest)
        if not (1 <= width <= most_wide and 1 <= height <= most_high):
            raise OSError("a size that is not allowed")
        return width, height

    # Frames as in `multiprocessing.connection`, which has no deadlines: a read could take for ever, byte by byte.

    def _send(self, message: bytes) -> None:
        for part in (_LENGTH.pack(len(message)), message):
            rest = memoryview(part)
            while rest:
                self._socket.settimeout(self._left())
                with suppress(TimeoutError):  # to look at the clocks again
                    rest = rest[self._socket.send(rest) :]

    def _receive(self, most: int) -> memoryview:
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        if not 0 <= length <= most:
            raise OSError("longer than it may be")
        return self._read(length)

    def _read(self, size: int) -> memoryview:
        data = memoryview(bytearray(size))
        rest = data
        while rest:
            self._socket.settimeout(self._left())
            with suppress(TimeoutError):  # to look at the clocks again
                received = self._socket.recv_into(rest)
                if not received:
                    raise EOFError
                rest = rest[received:]
        return data

    def _left(self) -> float:
        """Seconds until one of the limits may be reached. Raises `TimeoutError` when one is."""
        left = min(self._deadline - time.monotonic(), self._budget - self._spent())
        if left <= 0:
            raise TimeoutError
        return max(left, 0.01)  # no busy loop while a decoder sleeps just below its limit

    def _spent(self) -> float:
        """The process's CPU time in seconds. Raises OSError if it has exited."""
        return time.clock_gettime(process_clock(self.pid))

    def _killed(self) -> bool:
        """Whether it died of SIGKILL, which no codec and no limit of ours sends: an operator or the out-of-memory killer does."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(_END_SECONDS) == -signal.SIGKILL
        return False
