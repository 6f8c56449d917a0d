# SPDX-License-Identifier: Apache-2.0
"""Replaces itself by Triton, after forking a guard that cleans up when Triton or the gateway is killed.

Run by path, so that nothing of the gateway is imported: `python launcher.py STARTER_PID FOLDER LOCK TRITONSERVER ARGUMENT...`
"""

import ctypes
import fcntl
import os
import resource
import select
import shutil
import signal
import struct
import sys
from contextlib import suppress
from pathlib import Path

# linux/prctl.h, linux/seccomp.h
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4  # without it, older kernels slow down whatever is filtered
SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW = 0x00050000, 0x7FFF0000
# Classic BPF (linux/bpf_common.h): load a word, jump if equal, return. Offsets in struct seccomp_data.
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
NUMBER, ARCHITECTURE = 0, 4
# By machine: the architecture as the kernel's audit calls it, the numbers of the system calls seccomp and fchmod.
SYSTEM_CALLS = {"x86_64": (0xC000003E, 317, 91), "aarch64": (0xC00000B7, 277, 52)}

CORE_BYTES = 1  # no core dump; imagier_server/rights.py says why it is not 0
# Triton's threads take every core for milliseconds at a time. Behind them, the gateway's event loop takes up a third as many calls
# of a burst as before them (benchmarks/overload.py). Not more: other programs would starve Triton in turn.
NICENESS = 5
GRACE_SECONDS = 15  # from the starter's end to Triton's; a little longer than Triton's own --exit-timeout-secs


def launch(starter: int, folder: str, lock: int, command: list[str]) -> None:
    """Replace this process by `command`, which the kernel ends (SIGTERM, so that it may finish) when `starter` ends.

    A process of its own, because code between fork and exec of a process with threads may deadlock.
    """
    keep_private()
    os.nice(NICENESS)
    # Asked before the fork: the parent of a guard that runs late may be process 1, and killpg(1) kills everything.
    triton = os.getpid()
    ends = os.pidfd_open(starter), os.pidfd_open(triton)
    if os.fork() == 0:
        os.close(lock)
        guard(*ends, triton, folder)
        os._exit(0)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != starter:  # it ended before we asked
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606


def keep_private() -> None:
    """Let no other user read what this process creates, or Triton, or its model instances; let none dump core or gain privileges.

    Boost, in Triton's Python backend, makes shared memory readable to all: it creates a region and then undoes the mask with
    fchmod. So fchmod changes nothing here, and says that it has. Where the kernel lacks seccomp, the regions are closed after
    the start.
    """
    os.umask(0o077)
    with suppress(ValueError):  # already lower
        resource.setrlimit(resource.RLIMIT_CORE, (CORE_BYTES, CORE_BYTES))
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    architecture, seccomp, fchmod = SYSTEM_CALLS[os.uname().machine]
    lines = [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_EQUAL, 0, 3, architecture),
        (LOAD, 0, 0, NUMBER),
        (JUMP_EQUAL, 0, 1, fchmod),
        (RETURN, 0, 0, SECCOMP_RET_ERRNO | 0),
        (RETURN, 0, 0, SECCOMP_RET_ALLOW),
    ]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
    # struct sock_fprog: an unsigned short, padding, a pointer.
    header = struct.pack("@HP", len(lines), ctypes.addressof(program))
    libc.syscall(seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, header)


def guard(starter_end: int, triton_end: int, triton: int, folder: str) -> None:
    """Wait until Triton ends; kill what it leaves running, and remove its folder and regions once nobody holds the lock.

    Triton's model processes watch for its end themselves, but not while they load; and a process that dies holding a mutex in
    shared memory leaves them waiting for ever.
    """
    os.setsid()  # out of the group that is killed
    select.select([starter_end, triton_end], [], [])
    select.select([triton_end], [], [], GRACE_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(triton, signal.SIGKILL)
    with suppress(FileNotFoundError):  # the starter lives and has removed it all
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX)
        for region in Path(folder).parent.glob(f"{Path(folder).name}-*"):
            with suppress(OSError):  # another user's, who may make files there as well
                region.unlink()
        shutil.rmtree(folder)


if __name__ == "__main__":
    launch(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:])
