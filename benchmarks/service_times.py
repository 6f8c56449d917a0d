# SPDX-License-Identifier: Apache-2.0
"""Measures what the simulation of scale.py is fed with, and the latencies that it must then reproduce, on the real server.

Service demands are CPU seconds of each process for a picture, under that very load (the service demand law: utilisation by
throughput), without what an idle server spends. They are inputs; latencies are not.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import grpc
import numpy as np
import picture_sets
from contenders import Contender, Ours
from google.protobuf.message import Message
from imagier.v1 import annotator_pb2, timing_pb2
from imagier_server.cores import usable_cores
from imagier_server.settings import Settings
from imagier_server.tasks.tags.crops import MODEL
from loads import RefusedError, Send, busy_seconds, closed, once, opened, poisson
from refusals import refusal
from spending import SERVED, spent
from throughput import batches
from tritonclient.grpc import service_pb2, service_pb2_grpc

IN_FLIGHT, CAPACITY = (1, 32), 8
"""In flight; so many are taken to show the capacity."""
SHARES = (0.5, 0.7, 0.9)
QUIET, TRIES = 0.15, 2
"""A turn in which other programs kept more cores busy is repeated, so often at most."""
DRIFT = 0.1
"""An open load whose share of the capacity around it is farther from its name's does not count: the machine has changed."""
SETTLED = 7.0
"""Seconds after which models have given back the memory of their start (idle_memory.py)."""
STAGES = {timing_pb2.STAGE_DECODE: "decode", timing_pb2.STAGE_INFER: "models"}
TIMEOUT = 600.0


class Caller:
    """Sends one picture, and keeps the seconds of `STAGES` and the count of refusals."""

    def __init__(self, server: Ours, image: bytes, asked: Message) -> None:
        self._stub = server.stub
        self._request = annotator_pb2.AnnotateRequest(image=image)
        self._request.MergeFrom(asked)
        self.stages: dict[str, list[float]] = defaultdict(list)
        self.refused = 0

    async def __call__(self) -> None:
        try:
            answer = await self._stub.Annotate(self._request, timeout=TIMEOUT)
        except grpc.aio.AioRpcError as error:
            if refusal(error) is None:
                raise
            self.refused += 1
            raise RefusedError from error
        for each in answer.timings.stages:
            if each.stage in STAGES:
                self.stages[STAGES[each.stage]].append(each.duration.ToMicroseconds() / 1e6)


async def turn(server: Ours, load: Callable[[], Awaitable[list[float]]]) -> tuple[dict[str, Any], list[float]]:
    """CPU seconds of a picture by `SERVED`, and how many cores all else kept busy; the latencies. Repeated if that were many."""
    for _ in range(TRIES):
        before, busy, began = spent(server.gateway, server.engine), busy_seconds(), time.perf_counter()
        latencies = await load()
        seconds = time.perf_counter() - began
        after, busy = spent(server.gateway, server.engine), busy_seconds() - busy
        used = {name: after[name] - before[name] for name in SERVED}
        others = max(0.0, (busy - sum(used.values())) / seconds)
        if others <= QUIET:
            break
    count = max(1, len(latencies))
    found = {"seconds": round(seconds, 2), "pictures_per_second": round(len(latencies) / seconds, 2)}
    return {
        **found,
        "others": round(others, 3),
        "spent": {name: round(each / count, 6) for name, each in used.items()},
    }, latencies


async def resting(seconds: float) -> list[float]:
    """No picture at all."""
    await asyncio.sleep(seconds)
    return []


async def demand(
    server: Ours, contender: Contender, paths: Sequence[Path], idle: Mapping[str, float]
) -> dict[str, Any]:
    """CPU seconds of a picture by `SERVED`, and the rows that each model is asked for."""
    sends, before = contender.sends(paths) * 2, batches(server.triton)

    async def load() -> list[float]:
        nonlocal before
        before = batches(server.triton)
        return await once(sends, in_flight=2)

    measured, latencies = await turn(server, load)
    after = batches(server.triton)
    # A few are probes of the models, which are nobody's pictures.
    asked = {model: (after[model][0] - before[model][0]) / len(latencies) for model in after}
    return {
        "spent": net(measured, idle),
        "rows": {model: round(each, 2) for model, each in asked.items() if each > 0.2},
    }


def net(measured: Mapping[str, Any], idle: Mapping[str, float]) -> dict[str, float]:
    """CPU seconds of a picture, without what is spent anyway."""
    rate = measured["pictures_per_second"]
    return {name: round(max(0.0, each - idle[name] / rate), 6) for name, each in measured["spent"].items()}


async def instances(server: Ours, model: str) -> dict[str, int]:
    """Of a model in Triton, and its largest batch."""
    async with grpc.aio.insecure_channel(server.triton.grpc_address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        config = (await stub.ModelConfig(service_pb2.ModelConfigRequest(name=model))).config
    return {"instances": sum(group.count for group in config.instance_group), "most": config.max_batch_size}


def figures(latencies: Sequence[float]) -> dict[str, float]:
    """What the simulation has to meet."""
    p50, p95 = np.percentile(latencies, [50, 95])
    return {
        "mean_ms": round(fmean(latencies) * 1e3, 1),
        "p50_ms": round(float(p50) * 1e3, 1),
        "p95_ms": round(float(p95) * 1e3, 1),
    }


async def loads(
    server: Ours, caller: Caller, seconds: float, rounds: int
) -> tuple[dict[str, dict[str, Any]], dict[str, float]]:
    """Every load, once a round, with the capacity around it. Then the spread of `STAGES` with one in flight: deviation by mean."""
    turns: dict[str, list[tuple[dict[str, Any], list[float]]]] = defaultdict(list)
    stages: dict[str, list[float]] = defaultdict(list)
    sends: list[Send] = [caller]

    async def run(name: str, load: Callable[[], Awaitable[list[float]]], **facts: object) -> dict[str, Any]:
        found, latencies = await turn(server, load)
        turns[name].append(({**found, **facts}, latencies))
        return turns[name][-1][0]

    async def in_flight(count: int) -> dict[str, Any]:
        return await run(f"{count} in flight", partial(closed, sends, count, seconds), in_flight=count)

    async def alone() -> list[float]:
        caller.stages.clear()
        return await closed(sends, IN_FLIGHT[0], seconds)

    capacity = 0.0
    for number in range(rounds):
        found = await run(f"{IN_FLIGHT[0]} in flight", alone, in_flight=IN_FLIGHT[0])
        if found["others"] <= QUIET:
            for stage, seen in caller.stages.items():
                stages[stage] += seen
        before = await in_flight(CAPACITY)
        for place, share in enumerate(SHARES):
            if before["others"] <= QUIET or not capacity:
                capacity = before["pictures_per_second"]
            arrivals = poisson(share * capacity, 3 * seconds, len(SHARES) * number + place)
            name = f"{share:.0%} of capacity".replace("%", " %")
            made = await run(name, partial(opened, sends, arrivals), arrivals=[round(each, 4) for each in arrivals])
            after = await in_flight(CAPACITY)
            around = fmean(each["pictures_per_second"] for each in (before, after))
            made["share"] = round(len(arrivals) / (3 * seconds) / around, 3)
            made["drifted"] = abs(made["share"] - share) > DRIFT
            before = after
        await in_flight(IN_FLIGHT[1])
    if not stages:
        raise SystemExit("other programs kept the machine too busy")
    spread = {stage: round(stdev(seen) / fmean(seen), 3) for stage, seen in stages.items()}
    order = sorted(turns, key=lambda name: ("capacity" in name, float(name.split()[0])))
    return {name: pooled(turns[name]) for name in order}, spread


def pooled(turns: Sequence[tuple[dict[str, Any], list[float]]]) -> dict[str, Any]:
    """All turns of a load but those that others disturbed, or that are not what they are called; all if no other is left."""
    quiet = [each for each in turns if each[0]["others"] <= QUIET and not each[0].get("drifted")]
    counted = quiet or turns
    return {
        **figures([latency for _, latencies in counted for latency in latencies]),
        "disturbed": len(turns) - len(quiet),
        "turns": [facts for facts, _ in counted],
    }


async def measure(
    server: Ours, folder: Path, asks: Mapping[str, Message], seconds: float, rounds: int
) -> dict[str, Any]:
    """Everything, of tags in full and of the other works (`asks`: their tasks) what they demand."""
    [path] = picture_sets.photograph(folder)
    caller = Caller(server, path.read_bytes(), asks["tags"])
    await closed([caller], CAPACITY, 2.0)
    await asyncio.sleep(SETTLED)
    rest, _ = await turn(server, partial(resting, 2 * seconds))
    # What this process spends while it waits is in no picture's way.
    idle = {name: round(each / rest["seconds"], 5) for name, each in rest["spent"].items()} | {"caller": 0.0}
    found, spread = await loads(server, caller, seconds, rounds)
    full = found[f"{CAPACITY} in flight"]["turns"]
    tags = {name: round(fmean(net(each, idle)[name] for each in full), 6) for name in SERVED}
    mixed = picture_sets.files("library", folder, {})
    demands = {
        name: await demand(server, server.contender(wanted), mixed, idle)
        for name, wanted in asks.items()
        if name != "tags"
    }
    return {
        "cores": usable_cores(),
        "decoders": Settings(_env_file=None).decoders,
        "seconds": seconds,
        "model": await instances(server, MODEL),
        "idle": idle,
        "spread": spread,
        "refused": caller.refused,
        "demands": {"tags": {"spent": tags, "rows": {MODEL: 1.0}}, **demands},
        "loads": found,
    }
