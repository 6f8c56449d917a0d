# SPDX-License-Identifier: Apache-2.0
"""Where the time went: wall time by stage, and processor time of threads and of other processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest
from imagier_server.timings import Stage, Timings, cpu_time, process_clock

WORK = "sum(range(3_000_000))"


def test_stages_add_up_and_those_given_up_are_known() -> None:
    timings = Timings()
    for error in (None, ValueError, asyncio.CancelledError):
        try:
            with timings.measure("tags", Stage.INFER):
                if error:
                    raise error
        except (ValueError, asyncio.CancelledError):
            continue
    assert timings.stages.keys() == {("tags", Stage.INFER)}
    assert timings.cancelled == {Stage.INFER}


def test_a_block_that_fails_has_its_time_counted() -> None:
    spent: list[float] = []
    with pytest.raises(ZeroDivisionError), cpu_time(spent.append):
        eval(f"{WORK} / 0")
    assert len(spent) == 1
    assert spent[0] > 0


def test_another_process_is_timed_even_after_its_end_and_forgotten_once_it_is_reaped() -> None:
    spent: list[float] = []
    with subprocess.Popen([sys.executable, "-c", f"input(); {WORK}"], stdin=subprocess.PIPE) as process:
        with cpu_time(spent.append, process_clock(process.pid)):
            process.stdin.write(b"\n")
            process.stdin.close()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with cpu_time(spent.append, process_clock(process.pid)):
            process.wait()
    assert len(spent) == 1
    assert spent[0] > 0
