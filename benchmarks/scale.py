# SPDX-License-Identifier: Apache-2.0
"""How the cluster grows, by simulation: a queueing network (queueing.py) with service times measured on the real server.

First it has to reproduce the latencies of this machine (`--measure` measures both anew). Then it answers what no machine here can:
what saturates first, how long 25 million photographs take, what gateways, Tritons and GPUs each bring.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import simpy
from queueing import Batcher, Cluster, Cores, Curve, Demand, Engine, Gateway, closed, opened

RESULTS = Path(__file__).parent / "results"
PHOTOGRAPHS, HOURS = 25_000_000, 12
"""Bibliothèque nationale's task."""
BNF_CORES, BNF_GPUS = 10, 2
SERVERS = 2
"""Cores of one gateway in the table of what each part brings."""
# ASSUMED, for no GPU was at hand: Hugging Face's timm lists 3 815 pictures/s for tf_efficientnet_lite2 at 260 pixels on an RTX 3090
# (mixed precision, batch 1 024; results/benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv). Other networks are taken to gain as much
# over a core as that one does, and each batch to cost 2 ms more to launch. gpu_curves.py replaces both by measurements.
TIMM_PICTURES_PER_SECOND = 3814.92
LAUNCH_SECONDS = 0.002
GPU_ROWS = (1, 64)


def rows_of(measured: Mapping[str, Any]) -> dict[str, float]:
    """Rows that a picture asks of each model. The models of text count as one, `text`, whose row is all of a picture's text."""
    rows: dict[str, float] = {model: each for model, each in measured["rows"].items() if not model.startswith("text_")}
    return rows if len(rows) == len(measured["rows"]) else {**rows, "text": 1}


def demand_of(measured: Mapping[str, Any], hand_over: float = 0.0) -> Demand:
    """A picture's demand; its tasks run at once."""
    tasks = [[each] for each in rows_of(measured).items()]
    return Demand(measured["client"], measured["gateway"], measured["decode"], measured["triton"], tasks, hand_over)


def row_seconds(facts: Mapping[str, Any]) -> dict[str, float]:
    """CPU seconds of a row of each model."""
    works = {"tagger": "tags", "captioner": "caption", "text": "ocr"}
    demands = facts["demands"]
    return {model: demands[work]["models"] / rows_of(demands[work])[model] for model, work in works.items()}


def machine(facts: Mapping[str, Any], others: float = 0.0) -> Cluster:
    """This machine: callers, gateway, decoders and models on the same cores, of which others have taken some."""
    env = simpy.Environment()
    cores = Cores(env, facts["cores"] - others)
    models = {
        name: Batcher(
            env, cores, name, Curve(each["rows"], each["seconds"], each["threads"]), each["instances"], each["most"]
        )
        for name, each in facts["models"].items()
    }
    gateway = Gateway(cores, simpy.Resource(env, 1), simpy.Resource(env, facts["decoders"]))
    return Cluster(env, [gateway], [Engine(cores, models)], cores)


def simulated(
    facts: Mapping[str, Any], load: Mapping[str, Any], hand_over: float, arrivals: Sequence[float] = ()
) -> Cluster:
    """Tags on this machine under one load."""
    cluster = machine(facts, load["others"])
    demand = demand_of(facts["demands"]["tags"], hand_over)
    if arrivals:
        opened(cluster, demand, arrivals)
    else:
        closed(cluster, demand, load["in_flight"], 3 * facts["seconds"])
    return cluster


def milliseconds(cluster: Cluster) -> dict[str, float]:
    """Mean, median and 95th percentile."""
    p50, p95 = np.percentile(cluster.latencies, [50, 95])
    return {
        name: round(float(each) * 1e3, 1)
        for name, each in (("mean_ms", mean(cluster.latencies)), ("p50_ms", p50), ("p95_ms", p95))
    }


def compared(facts: Mapping[str, Any], arrivals: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Simulated latencies beside the measured ones.

    One number is fitted, at one picture in flight: the time that passes between processes while none of them works. A share of the
    capacity is a share of each one's own capacity, and the pictures arrive as they did, scaled by that.
    """
    measured = facts["latencies"]
    alone = measured["1 in flight"]
    hand_over = max(0.0, alone["mean_ms"] / 1e3 - mean(simulated(facts, alone, 0.0).latencies))
    found: dict[str, Any] = {}
    capacity = 0.0
    for name, load in measured.items():
        times = [
            moment * measured["8 in flight"]["pictures_per_second"] / capacity for moment in arrivals.get(name, ())
        ]
        cluster = simulated(facts, load, hand_over, times)
        rate = len(cluster.latencies) / cluster.env.now
        capacity = rate if name == "8 in flight" else capacity
        ours = {"pictures_per_second": round(rate, 2), **milliseconds(cluster)}
        keys = ("mean_ms", "p50_ms", "p95_ms") if arrivals.get(name) else tuple(ours)
        found[name] = {
            "measured": {key: load[key] for key in ours},
            "simulated": ours,
            "off_by": {key: round(ours[key] / load[key] - 1, 3) for key in keys},
        }
    return {"hand_over_ms": round(hand_over * 1e3, 1), "loads": found}


def gpu_curves(facts: Mapping[str, Any], rows: Mapping[str, float]) -> dict[str, Curve]:
    """A GPU's curve for each model: measured, or assumed from how many times faster it is than a core."""
    file = RESULTS / "gpu_curves.json"
    known = json.loads(file.read_text("utf-8"))["models"] if file.exists() else {}
    tagger = facts["models"]["tagger"]
    faster = TIMM_PICTURES_PER_SECOND * tagger["seconds"][-1] / tagger["rows"][-1]
    curves = {}
    for model in rows:
        each = row_seconds(facts)[model] / faster
        curves[model] = Curve(GPU_ROWS, [LAUNCH_SECONDS + each * n for n in GPU_ROWS])
        if model in known:
            curves[model] = Curve(known[model]["rows"], known[model]["seconds"])
    return curves


def cluster(facts: Mapping[str, Any], rows: Mapping[str, float], cores: Sequence[float], gpus: int) -> Cluster:
    """A gateway for each of `cores`, and a Triton for each GPU, whose server process takes cores of the gateways."""
    env = simpy.Environment()
    curves = gpu_curves(facts, rows)
    hosts = [Cores(env, each) for each in cores]
    gateways = [Gateway(host, simpy.Resource(env, 1), simpy.Resource(env, max(1, round(host.count)))) for host in hosts]
    engines = []
    for number in range(gpus):
        gpu = Cores(env, 1)
        models = {model: Batcher(env, gpu, model, curve, 2, GPU_ROWS[-1]) for model, curve in curves.items()}
        engines.append(Engine(hosts[number % len(hosts)], models))
    return Cluster(env, gateways, engines)


def saturated(
    facts: Mapping[str, Any], work: str, cores: Sequence[float], gpus: int, seconds: float = 10.0
) -> dict[str, Any]:
    """The most pictures a second, and how busy the cores, the event loops and the GPUs are then."""
    measured = facts["demands"][work]
    whole = cluster(facts, rows_of(measured), cores, gpus)
    closed(whole, demand_of(measured), 64 * len(cores), seconds, priority=2)
    elapsed = whole.env.now
    hosts = [gateway.cores for gateway in whole.gateways]
    cards = [next(iter(engine.models.values())).cores for engine in whole.engines]
    busy = {
        "cores": sum(sum(each.busy.values()) for each in hosts) / elapsed / sum(cores),
        "event loops": sum(each.busy["gateway"] for each in hosts) / elapsed / len(hosts),
        "gpus": sum(sum(each.busy.values()) for each in cards) / elapsed / gpus,
    }
    rate = len(whole.latencies) / elapsed
    return {
        "pictures_per_second": round(rate, 1),
        "busy": {name: round(each, 2) for name, each in busy.items()},
        "first": max(busy, key=lambda name: busy[name]),
        "core_hours_per_million": round(sum(cores) * 1e6 / rate / 3600, 2),
        "gpu_hours_per_million": round(gpus * 1e6 / rate / 3600, 2),
    }


def answers(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What saturates first, the 25 million, and what each part brings."""
    here = machine(facts)
    closed(here, demand_of(facts["demands"]["tags"]), 32, 60.0)
    total = sum(here.engines[0].cores.busy.values())
    shares = {kind: round(each / total, 3) for kind, each in here.engines[0].cores.busy.most_common()}
    library = {}
    for work in facts["demands"]:
        found = saturated(facts, work, [BNF_CORES / 5] * 5, BNF_GPUS)
        hours = PHOTOGRAPHS / found["pictures_per_second"] / 3600
        # By the utilisation law: what is busy now, as many times as the rate has to grow.
        needed = {"cores": BNF_CORES * found["busy"]["cores"], "gpus": BNF_GPUS * found["busy"]["gpus"]}
        for_12 = {f"{name}_for_12_hours": round(each * hours / HOURS, 1) for name, each in needed.items()}
        library[work] = {**found, "hours": round(hours, 1), **for_12}
    growth = [
        {"work": work, "gateways": gateways, "gpus": gpus, **saturated(facts, work, [SERVERS] * gateways, gpus, 5.0)}
        for work, gateways, gpus in product(("tags", "all"), (1, 2, 4, 8, 16, 32), (1, 2, 4))
    ]
    return {"this_machine": {"cores": facts["cores"], "shares": shares}, "library": library, "growth": growth}


async def measured(repository: Path, seconds: float) -> dict[str, Any]:
    """Facts of the real server on this machine."""
    import peers
    from contenders import ours
    from service_times import measure
    from throughput import machine as processor

    asks = {"tags": peers.TAGS, "caption": peers.CAPTION, "ocr": peers.OCR, "all": peers.ALL}
    with tempfile.TemporaryDirectory() as folder:
        async with ours(repository) as server:
            facts = await measure(server, repository, Path(folder), asks, seconds)
    return {"date": time.strftime("%Y-%m-%d"), "machine": processor(), **facts}


def main() -> None:
    """Measure if asked to, compare, answer, and write scale.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--measure", action="store_true", help="measure service times and latencies on this machine first"
    )
    parser.add_argument("--repository", type=Path, default=Path(__file__).parents[1] / "model_repository")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each measured load")
    parser.add_argument("--facts", type=Path, default=RESULTS / "service_times.json")
    parser.add_argument("--out", type=Path, default=RESULTS / "scale.json")
    arguments = parser.parse_args()
    if arguments.measure:
        facts = asyncio.run(measured(arguments.repository, arguments.seconds))
        arguments.facts.write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    facts = json.loads(arguments.facts.read_text("utf-8"))
    comparison = compared(facts, facts["arrivals"])
    for name, each in comparison["loads"].items():
        print(f"{name:18} measured {each['measured']}  simulated {each['simulated']}  off by {each['off_by']}")
    record = {"date": facts["date"], "machine": facts["machine"], "comparison": comparison, **answers(facts)}
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(json.dumps({key: record[key] for key in ("this_machine", "library")}, indent=1))


if __name__ == "__main__":
    main()
