# SPDX-License-Identifier: Apache-2.0
"""What keys, credits and quotas cost: the same pictures through a server without a ledger and one with, in turn, in one run.

Both gateways have the same Triton behind them. Each round drives every case for some seconds, in another order; a case's ratio is
the median over the rounds of its rate to that of the open server, through the same door, in the same round. The ledger is SQLite,
on the disk of the folder for temporary files. At the end it must add up, and hold a charge for every picture that was answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psutil
from imagier.v1 import annotator_pb2, tags_pb2

sys.path.insert(0, str(Path(__file__).parent))
import pictures
from charging import made_ledger
from doors import post, posts
from servers import gateway, triton
from throughput import OUTPUT, ROOT, cpu_seconds, drive, machine

QUOTA = "1000000 per hour"
FILE = "/v1, the file"


@dataclass(frozen=True)
class Case:
    """One way to call. `drive`: for some seconds; returns the pictures answered. `beside`: the case that it is compared with."""

    name: str
    beside: str
    process: psutil.Process
    drive: Callable[[float], Awaitable[int]]


@dataclass(frozen=True)
class Server:
    """A gateway in front of the common Triton. `key`: empty without a ledger."""

    address: str
    http_port: int
    process: psutil.Process
    key: str = ""


@asynccontextmanager
async def serving(repository: Path, engine: str, options: Sequence[str] = (), key: str = "") -> AsyncIterator[Server]:
    """Run a gateway for both doors."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with gateway(repository, engine, ["--http-port", str(port), *options]) as (address, process):
        yield Server(address, port, process, key)


def cases(plain: Server, charging: Server, limited: Server, image: bytes, in_flight: int) -> list[Case]:
    """What is compared; the open server first."""
    request = annotator_pb2.AnnotateRequest(image=image, tags=tags_pb2.TagsOptions())
    numbers = count()

    def grpc(server: Server, *, named: bool = False) -> Callable[[float], Awaitable[int]]:
        def metadata() -> list[tuple[str, str]]:
            key = [("x-api-key", server.key)] if server.key else []
            return [*key, ("idempotency-key", f"operation {next(numbers)}")] if named else key

        async def calls(seconds: float) -> int:
            # One more, which it does not time.
            return 1 + len(await drive(server.address, request, in_flight, seconds, metadata))

        return calls

    def v1(server: Server) -> Callable[[float], Awaitable[int]]:
        content = posts(image)[FILE]
        if server.key:
            content = content.replace(b"\r\n", f"\r\nX-API-Key: {server.key}\r\n".encode(), 1)
        return lambda seconds: post(server.http_port, content, seconds, in_flight)

    open_grpc, open_v1 = "gRPC, open", f"{FILE}, open"
    return [
        Case(open_grpc, open_grpc, plain.process, grpc(plain)),
        Case("gRPC, key and credits", open_grpc, charging.process, grpc(charging)),
        Case("gRPC, and idempotency keys and a quota", open_grpc, limited.process, grpc(limited, named=True)),
        Case(open_v1, open_v1, plain.process, v1(plain)),
        Case(f"{FILE}, key and credits", open_v1, charging.process, v1(charging)),
    ]


async def compare(every: Sequence[Case], rounds: int, seconds: float) -> tuple[dict[str, dict[str, object]], int]:
    """The figures of each case, and the pictures answered by servers that charge."""
    rates: dict[str, list[float]] = {case.name: [] for case in every}
    work: dict[str, list[float]] = {case.name: [] for case in every}
    charged = 0
    for number in range(-1, rounds):
        order = [*every] if number % 2 else [*reversed(every)]
        for case in order:
            before, started = cpu_seconds([case.process]), time.perf_counter()
            answered = await case.drive(seconds)
            took = time.perf_counter() - started
            charged += answered if case.name != case.beside else 0
            if number >= 0:  # the first is for warming up
                rates[case.name].append(answered / took)
                work[case.name].append((cpu_seconds([case.process]) - before) / answered * 1e3)
        if number >= 0:
            print("  " + ", ".join(f"{name} {each[-1]:.1f}/s" for name, each in rates.items()), file=sys.stderr)
    found = {}
    for case in every:
        ratios = [a / b for a, b in zip(rates[case.name], rates[case.beside], strict=True)]
        added = [a - b for a, b in zip(work[case.name], work[case.beside], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        found[case.name] = {
            "pictures_per_second": round(statistics.median(rates[case.name]), 1),
            "gateway_cpu_ms": round(statistics.median(work[case.name]), 2),
            "added_cpu_ms": round(statistics.median(added), 2),
            "ratio": round(middle, 3),
            "half_of_the_ratios": [round(low, 3), round(high, 3)],
        }
    return found, charged


def sync_ms(folder: Path) -> float:
    """Milliseconds that the disk takes to make a little data safe: each of the ledger's transactions waits for it."""
    took = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(bytes(4096))
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - started)
    return round(statistics.median(took) * 1e3, 2)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--in-flight", type=int, default=8)
    arguments = parser.parse_args()
    image = pictures.small(512)
    with tempfile.TemporaryDirectory() as folder, made_ledger(Path(folder)) as ledger:
        charge = ("--ledger", ledger.where)
        async with (
            triton(arguments.repository) as engine,
            serving(arguments.repository, engine.grpc_address) as plain,
            serving(arguments.repository, engine.grpc_address, charge, ledger.key) as charging,
            serving(
                arguments.repository, engine.grpc_address, (*charge, "--quota-pictures", QUOTA), ledger.key
            ) as limited,
        ):
            every = cases(plain, charging, limited, image, arguments.in_flight)
            found, answered = await compare(every, arguments.rounds, arguments.seconds)
        ledger.check(answered)
        disk = sync_ms(Path(folder))
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "sync_ms": disk,
        "task": "tags",
        "picture": {"longer_side": 512, "bytes": len(image)},
        "in_flight": arguments.in_flight,
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "cases": found,
    }
    (OUTPUT / "admission.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    for name, figures in found.items():
        print(
            f"{name:40} {figures['pictures_per_second']:6}/s  {figures['ratio']:5} of open  {figures['added_cpu_ms']} ms"
        )


if __name__ == "__main__":
    asyncio.run(main())
