# SPDX-License-Identifier: Apache-2.0
"""In processes of their own, whose signals and standard input can be used up."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, sys
from imagier_server.stopping import stop_on_end_of_input, stop_on_signals

async def main():
    stopping = asyncio.Event()
    stop_on_signals(stopping)
    if sys.argv[1:]:
        stop_on_end_of_input(stopping)
    print("begun", flush=True)
    await stopping.wait()
    print("stopping", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, None])
def test_the_first_signal_stops_and_the_second_ends(how: signal.Signals | None) -> None:
    command = [sys.executable, "-c", PROGRAM, *(() if how else ("input",))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        assert run.stdin
        assert run.stdout
        assert run.stdout.readline() == b"begun\n"
        if how:
            run.send_signal(how)
        else:
            run.stdin.close()
        assert run.stdout.readline() == b"stopping\n"
        run.send_signal(how or signal.SIGTERM)
        if how is None:
            run.send_signal(signal.SIGTERM)
            run.kill()
        run.wait(30)
        assert run.returncode != 0
