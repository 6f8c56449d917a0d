# SPDX-License-Identifier: Apache-2.0
"""Turns gRPC core's lines on standard error into log events, at a limited rate: peers can cause any number of them."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable

from imagier_server.logs import log

_LINE = re.compile(rb"([IWEF])\d{4} [\d:.]+ +\d+ ([\w./]+:\d+)\] ")
_PREAMBLE = b"WARNING: All log messages before absl::InitializeLog()"
_LEVELS = {b"I": logging.DEBUG, b"W": logging.WARNING, b"E": logging.WARNING, b"F": logging.ERROR}
_QUIET_SECONDS = 60.0
"""Minimum seconds between two lines from one place in the code; a peer can cause any number."""


def collect() -> None:
    """Turn gRPC's own lines into log events with their source location but without their text, which may quote a peer.

    Call once, before the log is set up. All other lines go to standard error as before.
    """
    real = os.dup(2)
    read, write = os.pipe()
    os.dup2(write, 2)
    os.close(write)
    sys.stderr = os.fdopen(os.dup(real), "w", buffering=1, errors="backslashreplace")
    lines = os.fdopen(read, "rb")
    threading.Thread(
        target=sort, args=(lines, lambda line: os.write(real, line)), name="native log", daemon=True
    ).start()


def sort(lines: Iterable[bytes], other: Callable[[bytes], object], clock: Callable[[], float] = time.monotonic) -> None:
    """Copy gRPC's lines to the log and others to `other`, until end of file."""
    said: dict[str, tuple[float, int]] = {}
    for line in lines:
        if line.startswith(_PREAMBLE):
            continue
        found = _LINE.match(line)
        if not found:
            other(line)
            continue
        level, at = _LEVELS[found[1]], found[2].decode("ascii")
        since, left_out = said.get(at, (-_QUIET_SECONDS, 0))
        if clock() - since < _QUIET_SECONDS:
            said[at] = (since, left_out + 1)
            continue
        said[at] = (clock(), 0)
        log(level, "gRPC's core has something to say", at=at, left_out=left_out)
