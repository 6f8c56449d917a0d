# SPDX-License-Identifier: Apache-2.0
"""What HTTP costs beside gRPC: the same pictures for the same task through each door of one server, in turn, in one run.

Each round drives every door for some seconds, in another order; a door's ratio is the median over the rounds of its rate to gRPC's
in the same round. Requests are made once, so that the callers, who share the cores, take as little of them as they can.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import socket
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
from imagier.v1 import annotator_pb2, tags_pb2

sys.path.insert(0, str(Path(__file__).parent))
import pictures
from servers import gateway, triton
from throughput import OUTPUT, ROOT, cpu_seconds, drive, machine

IN_FLIGHT = 8
GRPC = "gRPC"
Drive = Callable[[float], Awaitable[int]]
"""Drives a door for some seconds; returns the pictures answered."""


def posts(image: bytes) -> dict[str, bytes]:
    """A request by the name of its door."""
    annotate = "/imagier.v1.AnnotatorService/Annotate"
    message = annotator_pb2.AnnotateRequest(image=image, tags=tags_pb2.TagsOptions())
    document = {"image": base64.b64encode(image).decode(), "tags": {}}
    bodies = {
        "Connect, binary": (annotate, "application/proto", message.SerializeToString()),
        "Connect, JSON": (annotate, "application/json", json.dumps(document).encode()),
        "/v1, the file": ("/v1/annotate?tasks=tags", "image/jpeg", image),
        "/v1, JSON": ("/v1/annotate", "application/json", json.dumps(document).encode()),
    }
    head = "POST {} HTTP/1.1\r\nHost: x\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n"
    return {name: head.format(path, kind, len(body)).encode() + body for name, (path, kind, body) in bodies.items()}


async def post(port: int, request: bytes, seconds: float, in_flight: int = IN_FLIGHT) -> int:
    """Post the same request again and again on `in_flight` connections."""
    deadline = time.perf_counter() + seconds

    async def caller() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answered = 0
        while time.perf_counter() < deadline:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length: ")[1].split(b"\r")[0])
            await reader.readexactly(length)
            if not head.startswith(b"http/1.1 200 "):
                raise SystemExit("a request failed under load")
            answered += 1
        writer.close()
        return answered

    return sum(await asyncio.gather(*(caller() for _ in range(in_flight))))


async def compare(
    doors: dict[str, Drive], process: psutil.Process, rounds: int, seconds: float
) -> dict[str, dict[str, Any]]:
    """Pictures a second, CPU of the gateway for one, and the ratio to gRPC, by door."""
    rates: dict[str, list[float]] = {name: [] for name in doors}
    work: dict[str, list[float]] = {name: [] for name in doors}
    for number in range(rounds):
        names = list(doors)[number % len(doors) :] + list(doors)[: number % len(doors)]
        for name in names:
            before, started = cpu_seconds([process]), time.perf_counter()
            answered = await doors[name](seconds)
            rates[name].append(answered / (time.perf_counter() - started))
            work[name].append((cpu_seconds([process]) - before) / answered * 1e3)
        print("  " + ", ".join(f"{name} {rates[name][-1]:.1f}/s" for name in doors), file=sys.stderr)
    return {
        name: {
            "pictures_per_second": round(statistics.median(rates[name]), 1),
            "gateway_cpu_ms": round(statistics.median(work[name]), 2),
            "ratio": round(statistics.median(a / b for a, b in zip(rates[name], rates[GRPC], strict=True)), 3),
        }
        for name in doors
    }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = {}
    async with (
        triton(arguments.repository) as engine,
        gateway(arguments.repository, engine.grpc_address, ["--http-port", str(port)]) as (address, process),
    ):
        for name, image in (("3 megapixels", pictures.mosaic()), ("512 pixels", pictures.small(512))):
            request = annotator_pb2.AnnotateRequest(image=image, tags=tags_pb2.TagsOptions())

            async def grpc_calls(seconds: float, request: Any = request) -> int:
                return len(await drive(address, request, IN_FLIGHT, seconds))

            doors: dict[str, Drive] = {GRPC: grpc_calls}
            for door, content in posts(image).items():
                doors[door] = lambda seconds, content=content: post(port, content, seconds)
            for warm in doors.values():
                await warm(1.0)
            print(f"{name}: {len(image)} bytes", file=sys.stderr)
            doors_found = await compare(doors, process, arguments.rounds, arguments.seconds)
            found[name] = {"bytes": len(image), "doors": doors_found}
    result = {"machine": machine(), "task": "tags", "in_flight": IN_FLIGHT, "pictures": found}
    (OUTPUT / "doors.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    for name, each in found.items():
        for door, figures in each["doors"].items():
            print(f"{name:14} {door:16} {figures['pictures_per_second']:7.1f}/s  {figures['ratio']:.3f} of gRPC's")


if __name__ == "__main__":
    asyncio.run(main())
