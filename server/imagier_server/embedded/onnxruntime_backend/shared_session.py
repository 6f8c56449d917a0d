# SPDX-License-Identifier: Apache-2.0
"""One session for all instances of a model: the first one opens it, and runs the batches of the others beside its own.

Triton gives every instance a process of its own. Without this, each would hold the weights, and the memory in which a graph runs.
"""

# ruff: noqa: INP001  a folder of Triton's backend directory, no package of ours

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

LENGTH = struct.Struct("!I")
READY = b"r"
PAUSE_SECONDS = 0.01  # between looks for the first instance's socket


class Session(Protocol):
    """What runs a graph, for several threads at a time."""

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]: ...


class ElsewhereError(Exception):
    """A run in the first instance's process failed; `kind` is the name of the error there."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def joined(name: str, folder: Path, opened: Callable[[], Session]) -> Session:
    """Return the session called `name` of all processes that ask for it in `folder`: opened in the first of them.

    Blocks until it is open. Raises what `opened` raises, in every process. It ends with the first process; runs then raise
    ConnectionError in the others. Only who may write into `folder` can reach it.
    """
    path = folder / f"{name}.session"
    while True:
        # A lock and not the socket's existence, which a killed process leaves behind.
        lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            if session := _of_another(path):
                return session
            time.sleep(PAUSE_SECONDS)
            continue
        try:
            return _own(path, opened)
        except BaseException:
            os.close(lock)  # another instance tries it, and fails with the same reason
            raise


def _own(path: Path, opened: Callable[[], Session]) -> Session:
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        session = opened()
        threading.Thread(target=_accept, args=(listening.dup(), session), daemon=True).start()
    return session


def _accept(listening: socket.socket, session: Session) -> None:
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=_serve, args=(connection, session), daemon=True).start()


def _serve(connection: socket.socket, session: Session) -> None:
    """Run what one other instance sends, until it ends."""
    with connection, suppress(ConnectionError):
        connection.sendall(READY)
        while True:
            head, feeds = _receive(connection)
            try:
                results = session.run(head["outputs"], feeds)
            except Exception as error:  # noqa: BLE001  whatever it is, the instance must live on
                # Only the kind: the text may quote tensors.
                _send(connection, {"error": type(error).__name__}, {})
            else:
                _send(connection, {}, dict(zip(head["outputs"], results, strict=True)))


class _Elsewhere:
    """The session of another process. For one thread at a time, as Triton calls an instance."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        _send(self._connection, {"outputs": list(outputs)}, feeds)
        head, results = _receive(self._connection)
        if "error" in head:
            raise ElsewhereError(head["error"])
        return [results[name] for name in outputs]


def _of_another(path: Path) -> Session | None:
    """Connect to the first instance and wait until its session is open; None if there is none, or it fails to open it."""
    connection = socket.socket(socket.AF_UNIX)
    with suppress(OSError):
        connection.connect(str(path))
        if connection.recv(len(READY)):
            return _Elsewhere(connection)
    connection.close()
    return None


# A message: the length of its head; the head, JSON, which names the tensors; the bytes of each tensor.


def _send(connection: socket.socket, head: Mapping[str, Any], tensors: Mapping[str, Array]) -> None:
    arrays = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
    tags = [(name, values.dtype.str, values.shape) for name, values in arrays.items()]
    text = json.dumps({**head, "tensors": tags}).encode()
    connection.sendall(LENGTH.pack(len(text)) + text)
    for values in arrays.values():
        connection.sendall(_bytes(values))


def _receive(connection: socket.socket) -> tuple[dict[str, Any], dict[str, Array]]:
    length = bytearray(LENGTH.size)
    _fill(connection, memoryview(length))
    text = bytearray(*LENGTH.unpack(length))
    _fill(connection, memoryview(text))
    head = json.loads(text)
    tensors = {}
    for name, kind, shape in head["tensors"]:
        tensors[name] = np.empty(shape, kind)
        _fill(connection, _bytes(tensors[name]))
    return head, tensors


def _fill(connection: socket.socket, rest: memoryview) -> None:
    """Read until the buffer is full. Raises ConnectionError at the end of the connection."""
    while rest:
        received = connection.recv_into(rest, 0, socket.MSG_WAITALL)
        if not received:
            raise ConnectionError("the other process has ended")
        rest = rest[received:]


def _bytes(values: Array) -> memoryview:
    return values.reshape(-1).view(np.uint8).data
