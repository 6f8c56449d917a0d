# SPDX-License-Identifier: Apache-2.0
"""Measures what the simulation of scale.py is fed with, and the latencies that it must then reproduce, on the real server.

Service demands are CPU seconds of each process for a picture, under load (the service demand law: utilisation by throughput). A
model's curve is the CPU time of batches of several sizes, asked from Triton directly.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import grpc
import numpy as np
import picture_sets
import psutil
from contenders import Contender, Ours
from contenders import opened as prepared
from contest import Sample, turn
from imagier_server.cores import usable_cores
from imagier_server.settings import Settings
from imagier_server.tasks.tags import task as tagging
from loads import Meter, Send, closed, cpu_seconds, once, opened, poisson
from throughput import batches
from tritonclient.grpc import service_pb2, service_pb2_grpc

BATCHES = (1, 2, 4, 8, 16)
IN_FLIGHT = (1, 8, 32)
SHARES = (0.5, 0.7, 0.9)
SEED = 3


def _spent(server: Ours) -> dict[str, float]:
    """CPU seconds so far by what for."""
    decoders = server.gateway.children(recursive=True)
    triton = [server.engine, *server.engine.children(recursive=True)]
    own = [each for each in triton if each.name() == "tritonserver"]
    kinds = {
        "gateway": [server.gateway],
        "decode": decoders,
        "triton": own,
        "models": [each for each in triton if each not in own],
    }
    client = psutil.Process().cpu_times()
    alone = {kind: sum(sum(each.cpu_times()[:2]) for each in found) for kind, found in kinds.items()}
    return {**alone, "client": client.user + client.system}


async def demand(
    server: Ours, contender: Contender, paths: Sequence[Path], load: Callable[[Sequence[Send]], Awaitable[list[float]]]
) -> dict[str, Any]:
    """Seconds for a picture by what spends them, and the rows that each model is asked for."""
    sends = contender.sends(paths)
    before, rows = _spent(server), batches(server.triton)
    count = len(await load(sends))
    after, done = _spent(server), batches(server.triton)
    asked = {model: (done[model][0] - rows[model][0]) / count for model in done}
    seconds = {kind: round((after[kind] - before[kind]) / count, 6) for kind in after}
    return {**seconds, "rows": {model: round(each, 2) for model, each in asked.items() if each}}


async def curve(server: Ours, model: str, pixels: np.ndarray, seconds: float) -> dict[str, Any]:
    """CPU seconds of a batch by its rows, with every instance at work; and how many cores one keeps busy alone."""
    async with grpc.aio.insecure_channel(server.triton.grpc_address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        config = (await stub.ModelConfig(service_pb2.ModelConfigRequest(name=model))).config
        instances = sum(group.count for group in config.instance_group)
        engine, found, alone = [server.engine], [], 1.0
        for rows in (each for each in BATCHES if each <= config.max_batch_size):
            request = service_pb2.ModelInferRequest(model_name=model)
            request.inputs.add(name="pixels", datatype="UINT8", shape=(rows, *pixels.shape))
            request.raw_input_contents.append(np.stack([pixels] * rows).tobytes())
            send = partial(stub.ModelInfer, request)
            await send()
            # More than the instances would be merged into larger batches.
            before = cpu_seconds(engine)
            count = len(await closed([send], instances, seconds))
            found.append(round((cpu_seconds(engine) - before) / count, 6))
            if rows == 1:
                with Meter(engine) as meter:
                    took = await closed([send], 1, seconds)
                alone = max(1.0, meter.cpu / sum(took))
        return {
            "rows": [each for each in BATCHES if each <= config.max_batch_size],
            "seconds": found,
            "threads": round(alone, 2),
            "instances": instances,
            "most": config.max_batch_size,
        }


def figures(sample: Sample) -> dict[str, float]:
    """What the simulation has to meet."""
    p50, p95 = np.percentile(sample.latencies, [50, 95])
    return {
        "pictures_per_second": round(sample.pictures_per_second, 2),
        "mean_ms": round(mean(sample.latencies) * 1e3, 1),
        "p50_ms": round(p50 * 1e3, 1),
        "p95_ms": round(p95 * 1e3, 1),
        "others": round(sample.others, 2),
    }


async def measure(
    server: Ours, repository: Path, folder: Path, asks: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    """Everything, of tags in full and of the other works (`asks`: their tasks) what they demand."""
    paths = picture_sets.photograph(folder)
    tagger = tagging.TagsTask.load(repository)
    tags = server.contender(asks["tags"])
    during = partial(closed, in_flight=8, seconds=seconds)
    pixels = tagging.prepare(prepared(paths[0], tagger.scale))["pixels"][0]
    latencies, moments = {}, {}
    for in_flight in IN_FLIGHT:
        sample = await turn(tags, paths, partial(closed, in_flight=in_flight, seconds=seconds))()
        latencies[f"{in_flight} in flight"] = {"in_flight": in_flight, **figures(sample)}
    capacity = latencies["8 in flight"]["pictures_per_second"]
    for share in SHARES:
        arrivals = poisson(share * capacity, 3 * seconds, SEED)
        sample = await turn(tags, paths, partial(opened, arrivals=arrivals))()
        name = f"{share:.0%} of capacity".replace("%", " %")
        latencies[name], moments[name] = {"share": share, **figures(sample)}, [round(each, 4) for each in arrivals]
    demands = {"tags": await demand(server, tags, paths, during)}
    mixed = picture_sets.files("library", folder, {})
    for name, wanted in asks.items():
        if name != "tags":
            demands[name] = await demand(server, server.contender(wanted), mixed, partial(once, in_flight=2))
    return {
        "cores": usable_cores(),
        "decoders": Settings(_env_file=None).decoders,
        "seconds": seconds,
        "models": {"tagger": await curve(server, tagging.MODEL, pixels, seconds / 4)},
        "demands": demands,
        "latencies": latencies,
        "arrivals": moments,
    }
