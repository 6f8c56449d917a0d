# SPDX-License-Identifier: Apache-2.0
"""Becomes Triton, after asking the kernel to end it when its starter ends, however that happens.

A process of its own, because code between fork and exec of a process with threads may deadlock. Run by path, not as a
module, so that nothing of the gateway is imported: `python launcher.py STARTER_PID TRITONSERVER ARGUMENT...`
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def launch(starter: int, command: list[str]) -> None:
    """Replace this process by `command`. SIGTERM rather than SIGKILL, so that Triton gives its shared memory back."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != starter:  # it ended before we asked
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    launch(int(sys.argv[1]), sys.argv[2:])
