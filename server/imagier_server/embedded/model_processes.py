# SPDX-License-Identifier: Apache-2.0
"""Watches the processes of Triton's Python backend, one per model instance.

Triton neither replaces a dead one nor stops reporting its model as ready.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

PROC = Path("/proc")
NAME = "triton_python_b"  # the stub's program name, as truncated by the kernel
LOOK_SECONDS = 1.0
ENDED_STATES, STOPPED_STATES = "ZX", "T"  # proc(5)


class End(StrEnum):
    """How a process was lost."""

    ENDED = "process_ended"
    STOPPED = "process_stopped"


@dataclass(frozen=True, slots=True)
class Loss:
    """A lost process and its model; "" is Triton itself."""

    model: str
    end: End


@dataclass(frozen=True, slots=True)
class _Status:
    name: str
    state: str
    parent: int


def find(triton: int) -> dict[int, str]:
    """The process id and model of each model instance of a Triton."""
    found = {}
    for pid in _children(triton):
        with suppress(OSError, IndexError):  # it is just exiting
            # Its first argument is the model's file: …/models/NAME/VERSION/model.onnx.
            arguments = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
            found[pid] = Path(os.fsdecode(arguments[1])).parents[1].name
    return found


async def lost(triton: int, processes: Mapping[int, str]) -> Loss:
    """Return at once when one of the model processes ends, soon when one of them or Triton is found stopped (SIGSTOP) twice."""
    ended = asyncio.get_running_loop().create_future()
    with ExitStack() as stack:
        for pid, model in processes.items():
            try:
                end = os.pidfd_open(pid)
            except ProcessLookupError:
                return Loss(model, End.ENDED)
            stack.callback(os.close, end)
            asyncio.get_running_loop().add_reader(end, _tell, ended, Loss(model, End.ENDED))
            stack.callback(asyncio.get_running_loop().remove_reader, end)
        before: set[int] = set()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    return await asyncio.shield(ended)
            now = {pid for pid in (triton, *processes) if _is(pid, STOPPED_STATES)}
            for pid in sorted(now & before):
                return Loss(processes.get(pid, ""), End.STOPPED)
            before = now


def stopped(processes: Mapping[int, str], model: str) -> bool:
    """Whether a process of the model is stopped (SIGSTOP) now."""
    return any(_is(pid, STOPPED_STATES) for pid, its in processes.items() if its == model)


def stuck(triton: int) -> set[int]:
    """Processes of a loading Triton, itself included, that have exited or are stopped."""
    return {pid for pid in (triton, *_children(triton)) if _is(pid, ENDED_STATES + STOPPED_STATES)}


def _tell(ended: asyncio.Future[Loss], loss: Loss) -> None:
    if not ended.done():
        ended.set_result(loss)


def _children(triton: int) -> list[int]:
    pids = (int(path.name) for path in PROC.iterdir() if path.name.isdigit())
    return [pid for pid in pids if (status := _status(pid)) and status.parent == triton and status.name == NAME]


def _is(pid: int, states: str) -> bool:
    status = _status(pid)
    return status is not None and status.state in states


def _status(pid: int) -> _Status | None:
    try:
        text = (PROC / str(pid) / "stat").read_text("ascii", errors="replace")
    except OSError:
        return None
    # PID (NAME) STATE PARENT …, where the name may hold anything.
    name, _, rest = text.partition(" (")[2].rpartition(") ")
    state, parent, *_ = rest.split()
    return _Status(name, state, int(parent))
