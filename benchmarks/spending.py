# SPDX-License-Identifier: Apache-2.0
"""CPU time of our server and of its caller by process and thread, and of everything on the machine."""

from __future__ import annotations

import time
from collections import Counter

import psutil
from loads import family

SERVED = ("event loop", "gateway's other threads", "decoders", "Triton", "model's processes", "caller")


def spent(gateway: psutil.Process, engine: psutil.Process | None) -> Counter[str]:
    """CPU seconds so far, by `SERVED`. The caller is this process."""
    found = Counter({"caller": time.process_time()})
    for thread in gateway.threads():
        name = "event loop" if thread.id == gateway.pid else "gateway's other threads"
        found[name] += thread.user_time + thread.system_time
    for process in family([gateway, engine] if engine else [gateway]):
        if process != gateway:
            of_engine = engine and process.ppid() == engine.pid
            name = "Triton" if process == engine else "model's processes" if of_engine else "decoders"
            found[name] += sum(process.cpu_times()[:2])
    return found
