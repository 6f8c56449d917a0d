# SPDX-License-Identifier: Apache-2.0
"""Another user of the machine, who is curious: `python stranger.py UID`.

Tries to open whatever appears in shared memory, until a line `PID ...` is given. Then tries all it knows on these processes, and
prints as JSON what it `got`, what it has `seen`, and the `commands` it has read.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import socket
import sys
from collections.abc import Callable
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
SECRETS = ("environ", "maps", "mem", "fd", "fdinfo", "cwd", "root", "exe")


class Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def become(user: int) -> None:
    """For good. Before it, this interpreter and its modules may have been readable to its first user only."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except FileNotFoundError:
        return False  # gone meanwhile
    except PermissionError:
        return False
    return True


def watch() -> tuple[set[str], set[str]]:
    """The names that appear in shared memory, and those that could be opened or listed, even for a moment."""
    seen: set[str] = set()
    opened: set[str] = set()
    while not select.select([sys.stdin], [], [], 0)[0]:
        for entry in os.scandir(SHARED_MEMORY):
            seen.add(entry.name)
            if entry.name not in opened and succeeds(lambda path=entry.path: read(path)):
                opened.add(entry.name)
    return seen, opened


def visit(pid: int) -> set[str]:
    """What of a process can be had but its command line, which is everybody's."""
    got = set()
    for name in SECRETS:
        path = f"/proc/{pid}/{name}"
        look = os.listdir if name in ("fd", "fdinfo") else os.readlink if Path(path).is_symlink() else read
        if succeeds(lambda look=look, path=path: look(path)):
            got.add(name)
    if succeeds(lambda: os.kill(pid, 0)):
        got.add("signal")
    if succeeds(lambda: read_memory(pid)):
        got.add("memory")
    return got


def read(path: str) -> None:
    os.close(os.open(path, os.O_RDONLY))


def read_memory(pid: int) -> None:
    """Raises PermissionError where the kernel does not let us trace the process; any address will do."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = (ctypes.c_char * 1)()
    local, remote = Iovec(ctypes.addressof(here), 1), Iovec(4096, 1)
    if libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) < 0:
        error = ctypes.get_errno()
        if error == 1:  # EPERM; a permitted one says EFAULT
            raise PermissionError(error, os.strerror(error))


def connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def main() -> None:
    become(int(sys.argv[1]))
    seen, opened = watch()
    pids = [int(pid) for pid in sys.stdin.readline().split()]
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_text("utf-8").split("\0") for pid in pids}
    sockets = [
        line.split(" ")[-1]
        for line in Path("/proc/net/unix").read_text("utf-8").splitlines()
        if "imagier-triton-" in line
    ]
    print(
        json.dumps(
            {
                "seen": sorted(seen),
                "opened": sorted(opened),
                "got": {pid: sorted(visit(pid)) for pid in pids},
                "sockets": {path: succeeds(lambda path=path: connect(path)) for path in sockets},
                "commands": commands,
            }
        )
    )


if __name__ == "__main__":
    main()
