# SPDX-License-Identifier: Apache-2.0
"""Reads the log of Triton and its model processes, to say why they do not start or have exited.

It holds no picture data: verbose logging is off, and our backend logs only the kind of a failed run.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_TEXT_BYTES = 1 << 20  # a start writes some kilobytes
_END_BYTES = 1 << 14
_END_LINES, _LINE_LENGTH = 20, 200
# Lines of a healthy start: `I1121 04:41:35.728615 13154 model_lifecycle.cc:472] "loading: tagger:1"`, the tables of a start.
_INFO = re.compile(r"I\d{4} \d\d:\d\d:|[|+]|\s*$")


@dataclass(frozen=True, slots=True)
class TritonLog:
    """Triton's log file, and the offset where this run begins."""

    file: BinaryIO
    begin: int

    def text(self) -> str:
        """The text of this run from its beginning."""
        return os.pread(self.file.fileno(), _TEXT_BYTES, self.begin).decode(errors="replace")

    def from_here(self) -> TritonLog:
        """The same file, for a run that begins now."""
        return TritonLog(self.file, self.file.seek(0, os.SEEK_END))

    def end(self) -> list[str]:
        """The last warnings and errors of this run, cut to the size of a log line."""
        begin = max(self.begin, os.fstat(self.file.fileno()).st_size - _END_BYTES)
        lines = os.pread(self.file.fileno(), _END_BYTES, begin).decode(errors="replace").splitlines()
        if begin > self.begin:
            del lines[:1]  # probably not whole
        return [line[:_LINE_LENGTH] for line in lines if not _INFO.match(line)][-_END_LINES:]


@contextmanager
def open_log(folder: Path) -> Iterator[TritonLog]:
    """Append to `folder`/triton.log, which only its owner may read."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "triton.log", "a+b", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        yield TritonLog(file, file.seek(0, os.SEEK_END))


def explain(log: str) -> str:
    """The failed models in Triton's log, one line each; else its last lines."""
    return "; ".join(failures(log)) or "\n".join(log.splitlines()[-10:]) or "its log is empty"


def failures(log: str) -> list[str]:
    r"""The reason for each model that failed to load.

    A line: `E1121 04:41:35.729828 13154 model_lifecycle.cc:642] "failed to load 'tiny' version 1: Internal: text\n\nAt:..."`
    """
    return list(dict.fromkeys(re.findall(r"\"(failed to load '.+?' version .+?)(?:\\n|\"$)", log, re.MULTILINE)))


def reason(status: int) -> str:
    """Describe an asyncio exit status: 'SIGSEGV', 'exit status 1'."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
