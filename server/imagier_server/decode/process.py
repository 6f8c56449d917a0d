# SPDX-License-Identifier: Apache-2.0
"""One decoder process, seen from the gateway: it has a bounded time for each picture, and nothing that it says is believed."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

import numpy as np

from imagier_server.decode import worker
from imagier_server.decode.confinement import Confinement
from imagier_server.decode.decoder import Caps
from imagier_server.decode.formats import Format
from imagier_server.errors import Code, ImageTooLargeError, ImagierError, InvalidImageError
from imagier_server.messages import Picture

Scale = Callable[[int, int], float]
"""(upright width, upright height) in pixels → the scale to decode at, 0 < s ≤ 1."""

_START_SECONDS = 60.0
_LONGEST_WORD = 256
"""Bytes of any answer but the pixels."""


class DecoderCrashedError(InvalidImageError):
    """The decoder died of this picture."""

    reason = "DECODER_CRASHED"


class DecoderOverrunError(InvalidImageError):
    """The decoder took too long over this picture."""

    reason = "DECODER_OVERRUN"


class DecoderUnavailableError(ImagierError):
    """A new decoder does not start: the machine lacks something, and the picture is not to blame."""

    code = Code.UNAVAILABLE
    reason = "DECODER_UNAVAILABLE"
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
                self._connection = Connection(ours.detach())
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
            try:
                with self._killed_after(_START_SECONDS):
                    said = worker.CONFINEMENT.unpack(self._connection.recv_bytes(_LONGEST_WORD))
            except (EOFError, OSError, struct.error) as error:
                raise DecoderUnavailableError("no decoder starts") from error
            self._confinement = Confinement(*said)
        return self._confinement

    def decode(self, image: bytes, fmt: Format, scale: Scale, seconds: float) -> Picture:
        """Blocks, `seconds` at most. After an `InvalidImageError` other than a crash or an overrun, fit for the next picture."""
        self.confinement()
        failure: Exception | None = None
        with self._killed_after(seconds) as late:
            try:
                picture = self._exchange(image, fmt, scale)
            except (EOFError, OSError, struct.error) as error:
                failure = error
        if late.is_set():  # even if the answer came at the last moment: the process is gone
            raise DecoderOverrunError(f"decoding took longer than {seconds:g} seconds") from failure
        if failure is not None:
            raise DecoderCrashedError("the decoder crashed on this picture") from failure
        return picture

    def stop(self) -> None:
        """Ends the process, whatever it does."""
        self._connection.close()
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()

    def _exchange(self, image: bytes, fmt: Format, scale: Scale) -> Picture:
        self._connection.send_bytes(fmt.value.encode("ascii"))
        self._connection.send_bytes(image)
        width, height = self._size(worker.HEADER, self._caps.side, self._caps.side)
        if width * height > self._caps.pixels:
            raise OSError("a size that is not allowed")
        self._connection.send_bytes(worker.SCALE.pack(scale(width, height)))
        columns, rows = self._size(worker.PIXELS, width, height)
        data = self._connection.recv_bytes(columns * rows * 3)
        if len(data) != columns * rows * 3:
            raise OSError("not as many pixels as announced")
        return Picture(np.frombuffer(data, np.uint8).reshape(rows, columns, 3), width, height)

    def _size(self, expected: bytes, most_wide: int, most_high: int) -> tuple[int, int]:
        """The (width, height) that an answer of the expected kind carries. Raises the refusal that came instead."""
        answer = self._connection.recv_bytes(_LONGEST_WORD)
        kind, rest = answer[:1], answer[1:]
        if kind == worker.TOO_LARGE:
            raise ImageTooLargeError(rest.decode("ascii", "replace"))
        if kind == worker.REFUSED:
            raise InvalidImageError(rest.decode("ascii", "replace"))
        if kind == worker.BROKEN:
            raise InvalidImageError("the picture file is broken or cut short")
        if kind != expected:
            raise OSError("not the answer expected")
        width, height = worker.SIZE.unpack(rest)
        if not (1 <= width <= most_wide and 1 <= height <= most_high):
            raise OSError("a size that is not allowed")
        return width, height

    @contextmanager
    def _killed_after(self, seconds: float) -> Iterator[threading.Event]:
        """Ends the process if the block takes longer, which sets the event. No single read can know how long the whole takes."""
        late = threading.Event()

        def kill() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(seconds, kill)
        timer.start()
        try:
            yield late
        finally:
            timer.cancel()
            timer.join()
