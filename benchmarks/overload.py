# SPDX-License-Identifier: Apache-2.0
"""What a server with a real Triton does with more than it can: a burst, three times its capacity, and callers who come back.

The peak is the rate of the best closed loop. Three times as many calls then arrive at random (Poisson), answered or not. First
server and callers have cores of their own; then they share all, of which those who are refused take a part. In the burst all calls
begin at once, on many connections: also against a server that charges, whose ledger must add up afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
from imagier.v1 import annotator_pb2, tags_pb2

sys.path.insert(0, str(Path(__file__).parent))
import pictures
from charging import made_ledger
from refusals import Answers, Ask, call, connections
from servers import gateway, triton
from throughput import OUTPUT, ROOT, machine

PHOTOGRAPH, SMALL = 512, 64
"""Pixels of the longer side."""
SETTLED = 6.0
"""Seconds until the server is full and its rates are steady."""
LEVELS = (8, 16, 32)
"""Calls in flight, of which the best has the peak rate: the mean of before and after, for single rates scatter by a tenth."""


async def closed(
    asks: Sequence[Ask], request: annotator_pb2.AnnotateRequest, in_flight: int, seconds: float
) -> tuple[float, int]:
    """Pictures a second with so many always in flight, spread over the connections: each has its share; and how many in all."""
    answers, until = Answers(), time.perf_counter() + seconds

    async def caller(ask: Ask) -> None:
        while time.perf_counter() < until:
            await call(ask, request, answers)

    began = time.perf_counter()
    await asyncio.gather(*(caller(asks[each % len(asks)]) for each in range(in_flight)))
    return len(answers.seconds) / (time.perf_counter() - began), len(answers.seconds)


async def arriving(
    asks: Sequence[Ask], request: annotator_pb2.AnnotateRequest, per_second: float, seconds: float
) -> tuple[Answers, float, float]:
    """Calls that begin at random; the answers, the rate of arrivals, and of answers while calls arrived.

    The rates are those of `seconds` after `SETTLED`: at first the server fills, and reads pictures that it answers later.
    """
    answers, calls = Answers(), []
    due = began = time.perf_counter()
    before: tuple[float, int, int] | None = None
    while (now := time.perf_counter()) < began + SETTLED + seconds:
        if before is None and now >= began + SETTLED:
            before = now, len(calls), len(answers.seconds)
        while due <= now:
            calls.append(asyncio.create_task(call(random.choice(asks), request, answers)))
            due += random.expovariate(per_second)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    assert before, "arrivals are frequent"
    took, arrived, answered = now - before[0], len(calls) - before[1], len(answers.seconds) - before[2]
    await asyncio.gather(*calls)
    return answers, arrived / took, answered / took


async def peak_memory(process: psutil.Process, ended: asyncio.Event) -> int:
    """The gateway's largest resident memory until `ended`, in bytes."""
    most = 0
    while not ended.is_set():
        most = max(most, process.memory_info().rss)
        await asyncio.sleep(0.05)
    return most


async def burst(
    asks: Sequence[Ask], request: annotator_pb2.AnnotateRequest, calls: int, process: psutil.Process
) -> dict[str, Any]:
    """All calls at once."""
    answers, ended = Answers(), asyncio.Event()
    memory = asyncio.create_task(peak_memory(process, ended))
    before, began = process.memory_info().rss, time.perf_counter()
    await asyncio.gather(*(call(asks[each % len(asks)], request, answers) for each in range(calls)))
    took = time.perf_counter() - began
    ended.set()
    return {
        "calls": calls,
        "connections": len(asks),
        "answered": len(answers.seconds),
        "refused": len(answers.delays),
        "others": dict(answers.others),
        "seconds": round(took, 1),
        "longest_delay_s": round(max(answers.delays, default=0.0), 1),
        "memory_before_mib": before >> 20,
        "memory_peak_mib": await memory >> 20,
    }


async def coming_back(asks: Sequence[Ask], request: annotator_pb2.AnnotateRequest, calls: int) -> dict[str, object]:
    """All calls at once, and each refused one again when it is told to, until all are answered."""
    answers, attempts = Answers(), Counter[int]()

    async def until_answered(ask: Ask) -> None:
        count = 1
        while (delay := await call(ask, request, answers)) is not None:
            count += 1
            await asyncio.sleep(delay)
        attempts[count] += 1

    began = time.perf_counter()
    await asyncio.gather(*(until_answered(asks[each % len(asks)]) for each in range(calls)))
    took = time.perf_counter() - began
    return {
        "calls": calls,
        "answered": len(answers.seconds),
        "others": dict(answers.others),
        "seconds": round(took, 1),
        "per_second": round(calls / took, 1),
        "mean_attempts": round(sum(count * times for count, times in attempts.items()) / calls, 2),
        "most_attempts": max(attempts),
    }


def loaded(answers: Answers, arrivals: float, served: float, peak: float, in_flight: int) -> dict[str, float | object]:
    """The figures of calls that arrive three times as fast as they can be answered."""
    p50, p99 = np.percentile(answers.seconds, [50, 99])
    return {
        "arriving_per_second": round(arrivals, 1),
        "times_peak": round(arrivals / peak, 2),
        "served_per_second": round(served, 1),
        "of_peak": round(served / peak, 3),
        "answered": len(answers.seconds),
        "refused": len(answers.delays),
        "others": dict(answers.others),
        "p50_s": round(float(p50), 3),
        "p99_s": round(float(p99), 3),
        "max_s": round(max(answers.seconds), 3),
        "all_in_flight_at_peak_s": round(in_flight / peak, 3),
    }


def own_seconds(process: psutil.Process) -> float:
    """CPU seconds of the process so far, without its children."""
    times = process.cpu_times()
    return float(times.user + times.system)


def pin(cores: Sequence[int]) -> None:
    """Run this process on these cores, and what it starts from now on."""
    for thread in psutil.Process().threads():
        os.sched_setaffinity(thread.id, cores)


async def three_times(
    repository: Path, request: annotator_pb2.AnnotateRequest, in_flight: int, seconds: float, apart: bool
) -> dict[str, object]:
    """The peak, and three times that; with cores of their own for server and callers (`apart`), half of all for each."""
    cores = sorted(os.sched_getaffinity(0))
    half = len(cores) // 2
    async with AsyncExitStack() as stack:
        stack.callback(pin, cores)
        pin(cores[:half] if apart else cores)
        engine = await stack.enter_async_context(triton(repository))
        limit = ["--in-flight", str(in_flight)]
        address, process = await stack.enter_async_context(gateway(repository, engine.grpc_address, limit))
        pin(cores[half:] if apart else cores)
        async with connections(address, 8) as asks:
            await closed(asks, request, 8, 3.0)
            idle = own_seconds(process)
            peaks = [await closed(asks, request, each, seconds / 2) for each in LEVELS]
            before = own_seconds(process)
            first = [rate for rate, _ in peaks]
            answers, arrivals, served = await arriving(asks, request, 3 * max(first), seconds)
            spent = own_seconds(process) - before
            again = [await closed(asks, request, each, seconds / 2) for each in LEVELS]
    second = [rate for rate, _ in again]
    peak = max(map(fmean, zip(first, second, strict=True)))
    one = (before - idle) / sum(answered for _, answered in peaks)
    return {
        "peaks_per_second": [round(peak, 1) for peak in (*first, *second)],
        "gateway_ms_of_an_answer": round(one * 1e3, 2),
        "gateway_ms_of_a_refusal": round((spent - len(answers.seconds) * one) / len(answers.delays) * 1e3, 2),
        **loaded(answers, arrivals, served, peak, in_flight),
    }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--seconds", type=float, default=15.0, help="length of each measurement")
    parser.add_argument("--calls", type=int, default=10_000, help="calls of the burst")
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--only-three-times", action="store_true", help="no bursts; nothing is kept")
    parser.add_argument("--write", action="store_true", help="keep the results in benchmarks/results/")
    arguments = parser.parse_args()

    photograph = annotator_pb2.AnnotateRequest(image=pictures.small(PHOTOGRAPH), tags=tags_pb2.TagsOptions())
    small = annotator_pb2.AnnotateRequest(image=pictures.small(SMALL), tags=tags_pb2.TagsOptions())
    record: dict[str, object] = {"date": time.strftime("%Y-%m-%d"), "machine": machine()}
    for name, apart in (("three_times_apart", True), ("three_times", False)):
        if apart and len(os.sched_getaffinity(0)) < 2:
            continue
        record[name] = await three_times(
            arguments.repository, photograph, arguments.in_flight, arguments.seconds, apart
        )
        print(name, json.dumps(record[name]))
    if arguments.only_three_times:
        return
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(triton(arguments.repository))
        limit = ["--in-flight", str(arguments.in_flight)]
        address, process = await stack.enter_async_context(gateway(arguments.repository, engine.grpc_address, limit))
        async with connections(address, arguments.connections) as asks:
            record["burst"] = await burst(asks, small, arguments.calls, process)
            print("burst", json.dumps(record["burst"]))
            record["coming_back"] = await coming_back(asks, small, arguments.calls // 5)
            print("coming back", json.dumps(record["coming_back"]))
        with made_ledger(Path(stack.enter_context(TemporaryDirectory()))) as ledger:
            charging = gateway(arguments.repository, engine.grpc_address, [*limit, "--ledger", ledger.where])
            async with (
                charging as (address, process),
                connections(address, arguments.connections, ledger.key) as asks,
            ):
                record["burst_with_a_ledger"] = found = await burst(asks, small, arguments.calls, process)
                print("burst with a ledger", json.dumps(found))
            ledger.check(found["answered"])
    if arguments.write:
        (OUTPUT / "overload.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
