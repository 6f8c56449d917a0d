# SPDX-License-Identifier: Apache-2.0
"""Gives a session's memory back to the system once nobody has used it for a while; under load it keeps it, which is faster."""

# ruff: noqa: INP001  a folder of Triton's backend directory, no package of ours

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable

IDLE_SECONDS = 5.0


class IdleMemory:
    """Calls `give_back`, and trims the C heap, when memory was used and then not for `IDLE_SECONDS`. For several threads."""

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back = give_back
        self._last = time.monotonic()
        self._waiting = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def used(self) -> None:
        """Say that memory was in use just now."""
        self._last = time.monotonic()
        self._waiting.set()

    def _watch(self) -> None:
        trim = ctypes.CDLL(None).malloc_trim
        while True:
            self._waiting.wait()
            self._waiting.clear()
            while (left := self._last + IDLE_SECONDS - time.monotonic()) > 0:
                time.sleep(left)
            self._give_back()
            trim(0)
