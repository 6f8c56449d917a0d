# SPDX-License-Identifier: Apache-2.0
"""The pictures of a run on their way: found one by one, sent as the client takes them, their answers put back into order."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from pathlib import Path

from imagier_client.cli.tally import Tally
from imagier_client.errors import ImageTooLargeError, ImagierClientError, UnreadableFileError
from imagier_client.files.paths import STDIN, Found
from imagier_client.messages import Annotation

Outcome = Annotation | ImagierClientError
MOST_FROM_STDIN = 2**29
"""Bytes: no server takes a larger picture, and something without an end is not read until memory is full."""

PATIENCE = 0.5
"""Seconds."""
_PART = 2**20


class Source:
    """Pictures by their place in the run. `done` holds the outcomes that wait for their turn."""

    def __init__(self, found: Iterator[Found], tally: Tally) -> None:
        self._found = found
        self._tally = tally
        self._searching = threading.Lock()
        self._ahead: list[tuple[int, Path]] = []
        self._paths: dict[int, Path] = {}
        self._stdin: bytes | None = None
        self._turn = 0
        self.done: dict[int, Outcome] = {}

    @property
    def total(self) -> int | None:
        """How many there are, once that is known."""
        return self._tally.found if self._tally.complete else None

    async def look_ahead(self) -> bool:
        """Whether there is any picture that can be sent; what precedes it has failed."""
        picture = await self._next()
        self._ahead = [picture] if picture else []
        return bool(picture)

    async def pictures(self) -> AsyncGenerator[tuple[int, Path | bytes], None]:
        """(place, picture) of each that can be sent; the folders are searched meanwhile."""
        while picture := self._ahead.pop() if self._ahead else await self._next():
            place, path = picture
            try:
                image = await self._read_stdin() if path == STDIN else path
            except ImagierClientError as error:
                self.done[place] = error
                continue
            yield place, image

    def content(self, path: Path) -> bytes | None:
        """The picture's bytes, if no file holds them."""
        return self._stdin if path == STDIN else None

    def in_turn(self) -> Iterator[tuple[Path, Outcome]]:
        """Outcomes of which all before them have been taken."""
        while self._turn in self.done:
            yield self._paths.pop(self._turn), self.done.pop(self._turn)
            self._turn += 1

    def rest(self) -> Iterator[tuple[Path, Outcome]]:
        """What there is at the end, though some before it may never have come."""
        for place in sorted(self.done):
            yield self._paths.pop(place), self.done.pop(place)

    def count_rest(self) -> None:
        """Goes on searching for a moment, to say how many pictures a run that ends early has not reached."""
        end = time.monotonic() + PATIENCE
        while not self._tally.complete and (left := end - time.monotonic()) > 0:
            self._advance(left)

    async def _next(self) -> tuple[int, Path] | None:
        # Folders may lie on a slow disk, or beyond a network.
        while (found := await asyncio.to_thread(self._advance)) is not None:
            place, path, error = found
            self._paths[place] = path
            if error is None:
                return place, path
            self.done[place] = error
        return None

    def _advance(self, timeout: float = -1) -> tuple[int, Path, UnreadableFileError | None] | None:
        """The next one found, with its place; None if there is none, or none within so many seconds."""
        # A run that is interrupted while a thread searches counts on in another one.
        if not self._searching.acquire(timeout=timeout):
            return None
        try:
            if (item := next(self._found, None)) is None:
                self._tally.complete = True
                return None
            self._tally.found += 1
            return self._tally.found - 1, *item
        finally:
            self._searching.release()

    async def _read_stdin(self) -> bytes:
        """Raises UnreadableFileError, ImageTooLargeError."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()

        def settle(content: bytes | ImagierClientError) -> None:
            if future.cancelled():
                return
            if isinstance(content, bytes):
                future.set_result(content)
            else:
                future.set_exception(content)

        def read() -> None:
            content: bytes | ImagierClientError
            try:
                content = _all_of_stdin()
            except ImagierClientError as error:
                content = error
            with suppress(RuntimeError):  # the run is over
                loop.call_soon_threadsafe(settle, content)

        # Not of the pool: whoever presses Ctrl-C need not end the input first.
        threading.Thread(target=read, daemon=True).start()
        self._stdin = await future
        return self._stdin


def _all_of_stdin() -> bytes:
    """Raises UnreadableFileError, ImageTooLargeError."""
    content = bytearray()
    try:
        # Not through Python's buffer: the interpreter would wait for its lock at the end.
        descriptor = sys.stdin.fileno()
        while part := os.read(descriptor, _PART):
            content += part
            if len(content) > MOST_FROM_STDIN:
                raise ImageTooLargeError(f"more than {MOST_FROM_STDIN} bytes", field="image")
    except (OSError, ValueError, AttributeError) as error:  # closed, or none
        raise UnreadableFileError(getattr(error, "strerror", None) or "closed", field="image") from error
    return bytes(content)
