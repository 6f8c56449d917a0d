# SPDX-License-Identifier: Apache-2.0
"""How the cluster grows, by simulation: a queueing network (queueing.py) with service times measured on the real server.

First it has to reproduce the latencies of this machine (`--measure` measures both anew). Then it answers what no machine here can:
what saturates first, how long 25 million photographs take, what gateways, Tritons and GPUs each bring.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import simpy
from queueing import Batcher, Cluster, Cores, Curve, Demand, Engine, Gateway, closed, opened
from service_times import figures, measure, net

RESULTS = Path(__file__).parent / "results"
PHOTOGRAPHS, HOURS = 25_000_000, 12
"""Bibliothèque nationale's task."""
BNF_CORES, BNF_GPUS = 10, 2
SEEDS = 3
"""Plays of each measured turn."""
SERVERS = 2
"""Cores of one gateway in the table of what each part brings."""
# ASSUMED, for no GPU was at hand: Hugging Face's timm lists 3 815 pictures/s for tf_efficientnet_lite2 at 260 pixels on an RTX 3090
# (mixed precision, batch 1 024; results/benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv). Other networks are taken to gain as much
# over a core as that one does, and each batch to cost 2 ms more to launch. gpu_curves.py replaces both by measurements.
TIMM_PICTURES_PER_SECOND = 3814.92
LAUNCH_SECONDS = 0.002
GPU_ROWS = (1, 64)

Vary = Callable[[float], float]
"""Draws a time from its mean."""


def rows_of(measured: Mapping[str, Any]) -> dict[str, float]:
    """Rows that a picture asks of each model. The models of text count as one, `text`, whose row is all of a picture's text."""
    rows: dict[str, float] = {model: each for model, each in measured["rows"].items() if not model.startswith("text_")}
    return rows if len(rows) == len(measured["rows"]) else {**rows, "text": 1}


def demand_of(spent: Mapping[str, float], rows: Mapping[str, float], vary: Vary = float, locked: float = 0.0) -> Demand:
    """A picture's demand; its tasks run at once."""
    return Demand(
        spent["caller"],
        spent["event loop"],
        spent["gateway's other threads"],
        vary(spent["decoders"]),
        spent["Triton"],
        [[each] for each in rows.items()],
        locked,
    )


def locked_share(rows: Mapping[str, float]) -> float:
    """Of the threads' time with text: if two threads do 1.2 times as much as one, it is one by 1.2. Other work is not locked."""
    return (
        1 / float(json.loads((RESULTS / "python_lock.json").read_text("utf-8"))["speed_up"]) if "text" in rows else 0.0
    )


def varying(spread: float, dice: random.Random) -> Vary:
    """Draws around a mean: Gamma, with this ratio of standard deviation and mean."""
    return lambda mean: dice.gammavariate(spread**-2, mean * spread**2)


def row_seconds(facts: Mapping[str, Any]) -> dict[str, float]:
    """CPU seconds of a row of each model."""
    works = {"tagger": "tags", "captioner": "caption", "text": "ocr"}
    demands = facts["demands"]
    return {
        model: demands[work]["spent"]["model's processes"] / rows_of(demands[work])[model]
        for model, work in works.items()
    }


def simulated(facts: Mapping[str, Any], turn: Mapping[str, Any], seed: int) -> Cluster:
    """A turn of tags on this machine: callers, gateway, decoders and models on the same cores, of which others take some."""
    dice = random.Random(seed)
    spread, spent = facts["spread"], net(turn, facts["idle"])
    env = simpy.Environment()
    cores = Cores(env, facts["cores"] - turn["others"] - sum(facts["idle"].values()), seed=seed)
    model = facts["model"]
    tagger = Batcher(
        env,
        cores,
        "tagger",
        Curve([1], [spent["model's processes"]]),
        model["instances"],
        model["most"],
        workers=simpy.Resource(env, model["instances"]),
        vary=varying(spread["models"], dice),
    )
    gateway = Gateway(cores, simpy.Resource(env, 1), simpy.Resource(env, facts["decoders"]))
    cluster = Cluster(env, [gateway], [Engine(cores, {"tagger": tagger})], cores)
    draw = partial(demand_of, spent, {"tagger": 1}, varying(spread["decode"], dice))
    if "arrivals" in turn:
        opened(cluster, draw, turn["arrivals"])
    else:
        closed(cluster, draw, turn["in_flight"], facts["seconds"])
    return cluster


def compared(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Simulated latencies beside the measured ones, all turns of a load together; nothing is fitted.

    Each turn is played with its own processor time of a picture, moments of arrival, and cores that others left.
    """
    found: dict[str, Any] = {}
    for name, load in facts["loads"].items():
        turns = [simulated(facts, turn, seed) for turn in load["turns"] for seed in range(SEEDS)]
        ours = {
            "pictures_per_second": round(mean(len(turn.latencies) / turn.env.now for turn in turns), 2),
            **figures([latency for turn in turns for latency in turn.latencies]),
        }
        measured = {"pictures_per_second": round(mean(turn["pictures_per_second"] for turn in load["turns"]), 2)}
        measured |= {key: load[key] for key in ours if key not in measured}
        given = "arrivals" in load["turns"][0]
        found[name] = {
            "measured": measured,
            "simulated": ours,
            "off_by": {key: round(ours[key] / measured[key] - 1, 3) for key in list(ours)[given:]},
            "others": max(turn["others"] for turn in load["turns"]),
            **({"shares": [turn["share"] for turn in load["turns"]]} if given else {}),
        }
    return {"loads": found}


def gpu_curves(facts: Mapping[str, Any], rows: Mapping[str, float]) -> dict[str, Curve]:
    """A GPU's curve for each model: measured, or assumed from how many times faster it is than a core."""
    file = RESULTS / "gpu_curves.json"
    known = json.loads(file.read_text("utf-8"))["models"] if file.exists() else {}
    faster = TIMM_PICTURES_PER_SECOND * row_seconds(facts)["tagger"]
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
    """The most pictures a second, and how busy the cores, Python in the gateways and the GPUs are then."""
    measured = facts["demands"][work]
    rows = rows_of(measured)
    whole = cluster(facts, rows, cores, gpus)
    closed(
        whole,
        partial(demand_of, measured["spent"], rows, locked=locked_share(rows)),
        64 * len(cores),
        seconds,
        priority=2,
    )
    elapsed = whole.env.now
    hosts = [gateway.cores for gateway in whole.gateways]
    cards = [next(iter(engine.models.values())).cores for engine in whole.engines]
    busy = {
        "cores": sum(sum(each.busy.values()) for each in hosts) / elapsed / sum(cores),
        "Python": sum(each.busy["locked"] for each in hosts) / elapsed / len(hosts),
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
    return {"library": library, "growth": growth}


async def measured(repository: Path, seconds: float, rounds: int) -> dict[str, Any]:
    """Facts of the real server on this machine."""
    import peers
    from contenders import ours
    from throughput import machine as processor

    asks = {"tags": peers.TAGS, "caption": peers.CAPTION, "ocr": peers.OCR, "all": peers.ALL}
    with tempfile.TemporaryDirectory() as folder:
        async with ours(repository) as server:
            facts = await measure(server, Path(folder), asks, seconds, rounds)
    return {"date": time.strftime("%Y-%m-%d"), "machine": processor(), **facts}


def main() -> None:
    """Measure if asked to, compare, answer, and write scale.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--measure", action="store_true", help="measure service times and latencies on this machine first"
    )
    parser.add_argument("--repository", type=Path, default=Path(__file__).parents[1] / "model_repository")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a closed load; an open one takes thrice")
    parser.add_argument("--rounds", type=int, default=3, help="of all loads in turn")
    parser.add_argument("--facts", type=Path, default=RESULTS / "service_times.json")
    parser.add_argument("--out", type=Path, default=RESULTS / "scale.json")
    arguments = parser.parse_args()
    if arguments.measure:
        facts = asyncio.run(measured(arguments.repository, arguments.seconds, arguments.rounds))
        arguments.facts.write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    facts = json.loads(arguments.facts.read_text("utf-8"))
    comparison = compared(facts)
    for name, each in comparison["loads"].items():
        print(f"{name:18} measured {each['measured']}  simulated {each['simulated']}  off by {each['off_by']}")
    record = {"date": facts["date"], "machine": facts["machine"], "comparison": comparison, **answers(facts)}
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(json.dumps(record["library"], indent=1))


if __name__ == "__main__":
    main()
