# SPDX-License-Identifier: Apache-2.0
"""Latency of interactive tag calls beside streams of bulk tags, with and without the bound on bulk inferences, in one run.

Two gateways share one Triton; one of them has `--bulk-ahead 0`. Each round measures both in turn: interactive calls alone, the
streams alone, and calls beside the streams. The caller is paced, not closed: faster answers must not mean more calls.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import grpc
import numpy as np
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, tags_pb2

sys.path.insert(0, str(Path(__file__).parent))
import pictures
from servers import gateway, triton
from throughput import OUTPUT, ROOT, machine

PACE = 0.25
"""Seconds between interactive calls."""


async def calls(address: str, request: annotator_pb2.AnnotateRequest, seconds: float) -> list[float]:
    """Latencies in seconds of calls that begin at a fixed pace, whether or not the one before has been answered."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = annotator_pb2_grpc.AnnotatorServiceStub(channel)
        await stub.Annotate(request)

        async def one() -> float:
            started = time.perf_counter()
            answer = await stub.Annotate(request)
            if not answer.cost:
                raise SystemExit("a task failed under load")
            return time.perf_counter() - started

        running = []
        for _ in range(round(seconds / PACE)):
            running.append(asyncio.create_task(one()))
            await asyncio.sleep(PACE)
        return await asyncio.gather(*running)


class Streams:
    """`count` streams that send the same picture for as long as the `async with` lasts; counts their answers."""

    def __init__(self, address: str, request: annotator_pb2.AnnotateRequest, count: int) -> None:
        self._address, self._request, self._count = address, request, count
        self.answered = 0
        self.refused = 0

    async def __aenter__(self) -> Self:
        self._stop, self._under_way = asyncio.Event(), asyncio.Event()
        self._running = [asyncio.create_task(self._stream()) for _ in range(self._count)]
        await self._under_way.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._running)

    async def _stream(self) -> None:
        window = asyncio.Semaphore(16)

        async def requests() -> AsyncIterator[annotator_pb2.AnnotateStreamRequest]:
            while not self._stop.is_set():
                await window.acquire()
                yield annotator_pb2.AnnotateStreamRequest(request=self._request)

        async with grpc.aio.insecure_channel(self._address) as channel:
            async for answer in annotator_pb2_grpc.AnnotatorServiceStub(channel).AnnotateStream(requests()):
                self.answered += answer.HasField("response")
                self.refused += answer.HasField("error")
                if self.answered >= 4 * self._count:
                    self._under_way.set()
                window.release()


async def measure(
    address: str, request: annotator_pb2.AnnotateRequest, streams: int, seconds: float
) -> dict[str, float]:
    """One round: milliseconds of calls alone and beside streams, pictures a second of the streams alone and beside calls."""
    alone = await calls(address, request, seconds)
    async with Streams(address, request, streams) as bulk:
        first, started = bulk.answered, time.perf_counter()
        await asyncio.sleep(seconds)
        bulk_alone = (bulk.answered - first) / (time.perf_counter() - started)
        first, started = bulk.answered, time.perf_counter()
        beside = await calls(address, request, seconds)
        bulk_beside = (bulk.answered - first) / (time.perf_counter() - started)
        if bulk.refused:
            raise SystemExit(f"{bulk.refused} pictures of the streams failed")
    (alone50, alone95), (beside50, beside95) = (np.percentile(each, [50, 95]) * 1000 for each in (alone, beside))
    return {
        "alone_p50_ms": alone50,
        "alone_p95_ms": alone95,
        "beside_p50_ms": beside50,
        "beside_p95_ms": beside95,
        "p95_ratio": beside95 / alone95,
        "bulk_alone_per_second": bulk_alone,
        "bulk_beside_per_second": bulk_beside,
    }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="keep the results in benchmarks/results/")
    arguments = parser.parse_args()

    request = annotator_pb2.AnnotateRequest(image=pictures.mosaic(), tags=tags_pb2.TagsOptions())
    rounds: dict[str, list[dict[str, float]]] = {"bound": [], "no bound": []}
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(triton(arguments.repository))
        options = {"bound": [], "no bound": ["--bulk-ahead", "0"]}
        addresses = {
            name: (await stack.enter_async_context(gateway(arguments.repository, engine.grpc_address, extra)))[0]
            for name, extra in options.items()
        }
        for _ in range(arguments.rounds):
            for name, address in addresses.items():
                figures = await measure(address, request, arguments.streams, arguments.seconds)
                rounds[name].append(figures)
                print(f"  {name:9}", *(f"{key} {value:.1f}" for key, value in figures.items()), file=sys.stderr)
    medians = {
        name: {key: round(float(np.median([each[key] for each in found])), 2) for key in found[0]}
        for name, found in rounds.items()
    }
    for name, figures in medians.items():
        print(name, json.dumps(figures))
    kept = medians["bound"]["bulk_beside_per_second"] / medians["no bound"]["bulk_beside_per_second"]
    print(f"streams keep {kept:.2f} of their rate")
    if arguments.write:
        record = {
            "date": time.strftime("%Y-%m-%d"),
            "machine": machine(),
            "streams": arguments.streams,
            "calls_per_second": 1 / PACE,
            "medians": medians,
            "bulk_kept": round(kept, 3),
        }
        (OUTPUT / "lanes.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
