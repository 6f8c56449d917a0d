# SPDX-License-Identifier: Apache-2.0
"""When the server is to stop: at a signal, or at the end of standard input."""

from __future__ import annotations

import asyncio
import os
import signal
import sys


def stop_on_signals(stopping: asyncio.Event) -> None:
    """Set the event at SIGTERM or SIGINT. A second signal exits at once."""
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        stopping.set()
        # A second signal means now; the embedded Triton and the decoders end with us.
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)


def stop_on_end_of_input(stopping: asyncio.Event) -> None:
    """Set the event when standard input closes: its other end is in the hands of whoever started the server."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin)
            stopping.set()

    loop.add_reader(sys.stdin, read)
