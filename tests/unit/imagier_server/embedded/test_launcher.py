# SPDX-License-Identifier: Apache-2.0
"""The launcher gives up rights before it becomes Triton; the guard kills the process group of that Triton, and no other."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

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


def test_triton_comes_after_the_gateway_for_the_cores() -> None:
    alone = textwrap.dedent("""
        import importlib.util, os, sys

        spec = importlib.util.spec_from_file_location("launcher", sys.argv[1])
        launcher = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(launcher)
        launcher.guard = lambda *_: None
        launcher.launch(os.getppid(), "no folder", os.dup(0), ["/usr/bin/nice"])
    """)
    command = [sys.executable, "-c", alone, launcher.__file__]
    said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    assert int(said) == min(os.nice(0) + launcher.NICENESS, 19)


# Boost makes shared memory so: whatever the mask, fchmod(2) opens it to all.
KEPT_PRIVATE = textwrap.dedent("""
    import importlib.util, os, resource, subprocess, sys

    spec = importlib.util.spec_from_file_location("launcher", sys.argv[1])
    launcher = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(launcher)
    launcher.keep_private()
    made_by_a_child = '''
    import os, resource, sys
    region = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR, 0o644)
    os.fchmod(region, 0o644)
    print(oct(os.fstat(region).st_mode), resource.getrlimit(resource.RLIMIT_CORE))
    print("NoNewPrivs:\\t1" in open("/proc/self/status").read())
    '''
    subprocess.run([sys.executable, "-c", made_by_a_child, sys.argv[2]], check=True)
""")


def test_what_triton_and_its_children_make_is_private_from_the_first_moment(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KEPT_PRIVATE, launcher.__file__, str(tmp_path / "region")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == "0o100600 (1, 1)\nTrue\n"
