# SPDX-License-Identifier: Apache-2.0
"""Loads that benchmarks put on servers, closed and open, and what the servers spend meanwhile: processor time and memory."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from types import TracebackType
from typing import Self

import psutil

Send = Callable[[], Awaitable[object]]
"""Sends one request and waits for its answer. Raises or ends the benchmark if it fails."""


class RefusedError(Exception):
    """A `Send` raises it when the server refuses: the open load goes on."""


_SAMPLE_SECONDS = 2.5
"""Reading the memory of thirty processes takes tens of milliseconds."""
_MIB = 1 << 20


async def closed(sends: Sequence[Send], in_flight: int, seconds: float) -> list[float]:
    """Send the requests in turn, `in_flight` at a time, for so long; return the latencies in seconds."""
    latencies: list[float] = []
    following = cycle(sends)
    deadline = time.perf_counter() + seconds

    async def caller() -> None:
        while (started := time.perf_counter()) < deadline:
            await next(following)()
            latencies.append(time.perf_counter() - started)

    await asyncio.gather(*(caller() for _ in range(in_flight)))
    return latencies


async def once(sends: Sequence[Send], in_flight: int) -> list[float]:
    """Send each request once, `in_flight` at a time; return the latencies in seconds."""
    latencies: list[float] = []
    waiting = iter(sends)

    async def caller() -> None:
        for send in waiting:
            started = time.perf_counter()
            await send()
            latencies.append(time.perf_counter() - started)

    await asyncio.gather(*(caller() for _ in range(in_flight)))
    return latencies


def poisson(rate: float, seconds: float, seed: int) -> list[float]:
    """Moments, in seconds from the start, at which requests arrive independently of one another, `rate` a second on average."""
    dice = random.Random(seed)
    moments: list[float] = []
    moment = dice.expovariate(rate)
    while moment < seconds:
        moments.append(moment)
        moment += dice.expovariate(rate)
    return moments


async def opened(sends: Sequence[Send], arrivals: Sequence[float]) -> list[float]:
    """Send requests at these moments, whether or not others are answered; return the latencies in seconds, in order of arrival.

    A latency counts from the moment at which the request should have been sent: a late sender hides no waiting. What is refused has
    none.
    """
    started = time.perf_counter()

    async def one(send: Send, moment: float) -> float | None:
        with suppress(RefusedError):
            await send()
            return time.perf_counter() - started - moment
        return None

    running = []
    for send, moment in zip(cycle(sends), arrivals, strict=False):
        await asyncio.sleep(max(0.0, started + moment - time.perf_counter()))
        running.append(asyncio.create_task(one(send, moment)))
    return [latency for latency in await asyncio.gather(*running) if latency is not None]


def family(roots: Sequence[psutil.Process]) -> list[psutil.Process]:
    """These processes and all that descend from them."""
    found = {}
    for root in roots:
        with suppress(psutil.NoSuchProcess):
            found |= {process.pid: process for process in (root, *root.children(recursive=True))}
    return list(found.values())


def cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    """CPU time of these processes and their children."""
    total = 0.0
    for process in family(processes):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def pss_mib(processes: Sequence[psutil.Process]) -> float:
    """Memory of these processes and their children; what several share counts once (proportional set size)."""
    total = 0
    for process in family(processes):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total / _MIB


def busy_seconds() -> float:
    """CPU time of everything on the machine so far, and what its host took from it (steal)."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


@dataclass
class Meter:
    """Measures while its `with` lasts: what `processes` spend, and how many cores all else on the machine keeps busy.

    `others` shows how quiet the machine was. This process is the client.
    """

    processes: Sequence[psutil.Process]
    seconds: float = 0.0
    cpu: float = 0.0
    client_cpu: float = 0.0
    others: float = 0.0
    peak_mib: float = 0.0

    def __enter__(self) -> Self:
        command = [sys.executable, __file__, *(str(process.pid) for process in self.processes)]
        self._watcher = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._watcher.stdout is not None
        self._watcher.stdout.readline()  # until then it starts, which costs CPU time
        self._started, self._before = time.perf_counter(), self._now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._started
        self.cpu, self.client_cpu, busy = (b - a for a, b in zip(self._before, self._now(), strict=True))
        self.others = max(0.0, busy - self.cpu - self.client_cpu) / self.seconds
        self._watcher.kill()
        seen = self._watcher.communicate()[0].split()
        self.peak_mib = max([pss_mib(self.processes), *map(float, seen)])

    def _now(self) -> tuple[float, float, float]:
        # The sum over Triton's many processes takes milliseconds; the rest is read beside it.
        return cpu_seconds(self.processes), time.process_time(), busy_seconds()


def watch(processes: Sequence[psutil.Process]) -> None:
    """Print what memory they have, again and again: in a process of its own that stands behind all others."""
    os.nice(19)
    print(0.0, flush=True)
    while True:
        time.sleep(_SAMPLE_SECONDS)
        print(f"{pss_mib(processes):.1f}", flush=True)


if __name__ == "__main__":
    watch([psutil.Process(int(pid)) for pid in sys.argv[1:]])
