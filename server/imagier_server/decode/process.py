# SPDX-License-Identifier: Apache-2.0
"""One decoder process, seen from the gateway: it has bounded times for each picture, and nothing that it says is believed."""

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
from imagier_server.decode.decoder import Caps
from imagier_server.decode.formats import Format
from imagier_server.errors import Code, ImageTooLargeError, ImagierError, InvalidImageError
from imagier_server.messages import Picture
from imagier_server.timings import process_clock

Scale = Callable[[int, int], float]
"""(upright width, upright height) in pixels → the scale to decode at, 0 < s ≤ 1."""

_START_SECONDS = 60.0
_PATIENCE = 2
"""Seconds by the clock for each of processor time: a decoder shares its machine."""
_END_SECONDS = 1.0
"""From a decoder's last word until the kernel says how it ended."""
_LENGTH = struct.Struct("!i")
_LONGEST_WORD = 256
"""Bytes of any answer but the pixels."""


class DecoderCrashedError(InvalidImageError):
    """The decoder died of this picture."""

    reason = "DECODER_CRASHED"


class DecoderOverrunError(InvalidImageError):
    """The decoder took too much processor time over this picture."""

    reason = "DECODER_OVERRUN"


class DecoderUnavailableError(ImagierError):
    """A new decoder does not start: the machine lacks something, and the picture is not to blame."""

    code = Code.UNAVAILABLE
    reason = "DECODER_UNAVAILABLE"
    retry_after = 2.0


class DecoderInterruptedError(ImagierError):
    """The decoder was killed from outside, or the machine did not let it work: the picture is not to blame."""

    code = Code.UNAVAILABLE
    reason = "DECODER_INTERRUPTED"
    retry_after = 2.0


class DecoderProcess:
    """Starts at once, and is ready a little later. Used by one thread at a time. Raises `DecoderUnavailableError`."""

    def __init__(self, caps: Caps, memory: int) -> None:
        self._caps = caps
        self._confinement: Confinement | None = None
        try:
            ours, theirs = socket.socketpair()
            with ours, theirs:
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
                self._socket = ours.dup()
        except OSError as error:
            raise DecoderUnavailableError("no decoder starts") from error

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """False if it has ended by itself, or was ended from outside."""
        return self._process.poll() is None

    def confinement(self) -> Confinement:
        """How well it is closed in. Blocks until it is; raises `DecoderUnavailableError` if it never will be."""
        if self._confinement is None:
            self._deadline, self._budget = time.monotonic() + _START_SECONDS, math.inf
            try:
                said = worker.CONFINEMENT.unpack(self._receive(worker.CONFINEMENT.size))
            except (EOFError, OSError, struct.error) as error:
                raise DecoderUnavailableError("no decoder starts") from error
            self._confinement = Confinement(*said)
        return self._confinement

    def decode(self, image: bytes, fmt: Format, scale: Scale, seconds: float) -> Picture:
        """Blocks for `seconds` of the decoder's processor time, `_PATIENCE` times as long by the clock, at most.

        After a crash, an overrun or an interruption it must be stopped; after a refusal it is fit for the next one.
        """
        self.confinement()
        self._deadline = time.monotonic() + _PATIENCE * seconds
        try:
            self._budget = self._spent() + seconds
            return self._exchange(image, fmt, scale)
        except TimeoutError as error:
            if self._spent() >= self._budget:
                raise DecoderOverrunError(f"decoding took more than {seconds:g} seconds of processor time") from error
            raise DecoderInterruptedError("the decoder was kept from its work") from error
        except (EOFError, OSError, struct.error) as error:
            if self._killed():
                raise DecoderInterruptedError("the decoder was killed from outside") from error
            raise DecoderCrashedError("the decoder crashed on this picture") from error

    def stop(self) -> None:
        """Ends the process, whatever it does."""
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
        pixels = self._receive(columns * rows * 3)
        if len(pixels) != columns * rows * 3:
            raise OSError("not as many pixels as announced")
        return Picture(np.frombuffer(pixels.toreadonly(), np.uint8).reshape(rows, columns, 3), width, height)

    def _size(self, expected: bytes, most_wide: int, most_high: int) -> tuple[int, int]:
        """The (width, height) that an answer of the expected kind carries. Raises the refusal that came instead."""
        answer = bytes(self._receive(_LONGEST_WORD))
        kind, rest = answer[:1], answer[1:]
        if kind == worker.TOO_LARGE:
            raise ImageTooLargeError(rest.decode("ascii", "replace"))
        if kind == worker.REFUSED:
            raise InvalidImageError(rest.decode("ascii", "replace"))
        if kind == worker.BROKEN:
            raise InvalidImageError("the picture file is broken, cut short, or of a kind that is not read")
        if kind != expected:
            raise OSError("not the answer expected")
        width, height = worker.SIZE.unpack(rest)
        if not (1 <= width <= most_wide and 1 <= height <= most_high):
            raise OSError("a size that is not allowed")
        return width, height

    # The frames of `multiprocessing.connection`, which knows no deadline: a read could take for ever, byte by byte.

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
        """Seconds until one of the times may have run out. Raises `TimeoutError` when one has."""
        left = min(self._deadline - time.monotonic(), self._budget - self._spent())
        if left <= 0:
            raise TimeoutError
        return max(left, 0.01)  # a decoder that sleeps on its last bit of processor time is not watched without pause

    def _spent(self) -> float:
        """The process's seconds of processor time. Raises OSError if it is gone."""
        return time.clock_gettime(process_clock(self.pid))

    def _killed(self) -> bool:
        """Whether it was ended by SIGKILL, which no codec and no limit of ours sends: an operator or a machine out of memory."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(_END_SECONDS) == -signal.SIGKILL
        return False
