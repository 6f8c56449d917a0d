# SPDX-License-Identifier: Apache-2.0
"""Becomes Triton, after leaving a guard behind that ends and removes whatever the two leave when one of them is killed.

Run by path, so that nothing of the gateway is imported: `python launcher.py STARTER_PID FOLDER LOCK TRITONSERVER ARGUMENT...`
"""

import ctypes
import fcntl
import os
import select
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h
GRACE_SECONDS = 15  # from the starter's end to Triton's; a little longer than Triton's own --exit-timeout-secs


def launch(starter: int, folder: str, lock: int, command: list[str]) -> None:
    """Replace this process by `command`, which the kernel ends (SIGTERM, so that it may finish) when `starter` ends.

    A process of its own, because code between fork and exec of a process with threads may deadlock.
    """
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


def guard(starter_end: int, triton_end: int, triton: int, folder: str) -> None:
    """Wait until Triton ends; kill what it leaves running, and remove its folder and regions once nobody holds the lock.

    Triton's model instances are processes that look out for its end themselves, but not while they load; and one that ends while
    it holds a mutex in shared memory leaves them waiting for ever.
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
