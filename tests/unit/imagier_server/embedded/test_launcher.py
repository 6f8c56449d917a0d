# SPDX-License-Identifier: Apache-2.0
"""The guard kills the process group of the Triton that it was left behind for, and no other."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

from imagier_server.embedded import launcher

# A machine so busy that the guard first runs when Triton is over: its parent is then process 1, and killpg(1) is kill(-1).
LATE_GUARD = textwrap.dedent("""
    import importlib.util, os, select, sys

    spec = importlib.util.spec_from_file_location("launcher", sys.argv[1])
    launcher = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(launcher)
    launched, fork = os.pidfd_open(os.getpid()), os.fork

    def fork_and_run_late():
        child = fork()
        if child == 0:
            select.select([launched], [], [])
        return child

    os.fork = fork_and_run_late
    launcher.guard = lambda starter_end, triton_end, triton, folder: print(os.getppid(), triton, flush=True)
    launcher.launch(os.getppid(), "no folder", os.dup(0), ["/bin/true"])
""")


def test_a_guard_that_runs_late_knows_its_triton() -> None:
    command = [sys.executable, "-c", LATE_GUARD, launcher.__file__]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as triton:
        told, _ = triton.communicate(timeout=30)
    parent, group = map(int, told.split())
    assert parent not in (triton.pid, os.getpid())
    assert group == triton.pid
