# SPDX-License-Identifier: Apache-2.0
"""The simulation of docs/scale.md obeys the laws that hold for every queue, and known queues come out as they are known to."""

from __future__ import annotations

import random
import runpy
from pathlib import Path
from statistics import mean
from types import SimpleNamespace

import pytest
import simpy

SEED = 1
RATE = 0.6
"""Arrivals a second. Work takes a second on average, so that the one core is busy 0.6 of the time."""
MANY = 20_000
TOLERANCE = 0.05
"""Of the mean of that many pictures: they wait for one another, and so are worth far fewer independent ones."""


@pytest.fixture(scope="module")
def queueing() -> SimpleNamespace:
    """The module, which is a script's neighbour and no package."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "queueing.py")))


def one_core(queueing: SimpleNamespace, decoders: int) -> SimpleNamespace:
    """A gateway that only decodes, on one core."""
    env = simpy.Environment()
    cores = queueing.Cores(env, 1)
    gateway = queueing.Gateway(cores, simpy.Resource(env, 1), simpy.Resource(env, decoders))
    return queueing.Cluster(env, [gateway], [queueing.Engine(cores, {})])


def arrivals(dice: random.Random) -> list[float]:
    moments, moment = [], 0.0
    for _ in range(MANY):
        moment += dice.expovariate(RATE)
        moments.append(moment)
    return moments


def decoding(queueing: SimpleNamespace, seconds: float) -> object:
    return queueing.Demand(client=0, gateway=0, decode=seconds, triton=0, tasks=())


@pytest.mark.parametrize(
    ("decoders", "random_work", "expected"),
    [
        pytest.param(1, True, 1 / (1 - RATE), id="M/M/1"),
        pytest.param(1, False, 1 + RATE / (2 * (1 - RATE)), id="M/D/1, by Pollaczek and Khinchine"),
        # Shared equally, it does not matter how work is distributed.
        pytest.param(MANY, True, 1 / (1 - RATE), id="M/M/1, cores shared"),
        pytest.param(MANY, False, 1 / (1 - RATE), id="M/D/1, cores shared"),
    ],
)
def test_known_queues(queueing: SimpleNamespace, decoders: int, random_work: bool, expected: float) -> None:
    dice = random.Random(SEED + 1)  # what arrives must not know how long it will take
    cluster = one_core(queueing, decoders)
    fixed = decoding(queueing, 1.0)
    demand = (lambda: decoding(queueing, dice.expovariate(1.0))) if random_work else fixed
    queueing.opened(cluster, demand, arrivals(random.Random(SEED)))
    assert len(cluster.latencies) == MANY
    assert mean(cluster.latencies) == pytest.approx(expected, rel=TOLERANCE)


def machine(queueing: SimpleNamespace, cores: int = 2) -> SimpleNamespace:
    """Two cores for everything, and a model with two instances."""
    env = simpy.Environment()
    shared = queueing.Cores(env, cores)
    curve = queueing.Curve((1, 8), (0.02, 0.1), 1.5)
    tagger = queueing.Batcher(env, shared, "tagger", curve, 2, 8)
    gateway = queueing.Gateway(shared, simpy.Resource(env, 1), simpy.Resource(env, cores))
    return queueing.Cluster(env, [gateway], [queueing.Engine(shared, {"tagger": tagger})], shared)


def tags(queueing: SimpleNamespace) -> object:
    return queueing.Demand(client=0.001, gateway=0.004, decode=0.01, triton=0.001, tasks=[[("tagger", 1)]])


def test_littles_law(queueing: SimpleNamespace) -> None:
    """Pictures inside, seen at even moments, are the rate times the mean latency."""
    cluster = machine(queueing)
    seen = []

    def watch() -> object:
        while True:
            yield cluster.env.timeout(0.013)
            seen.append(cluster.gateways[0].load)

    watching = cluster.env.process(watch())
    moments = [moment / 40 for moment in arrivals(random.Random(SEED))[:5_000]]

    def stop() -> object:
        yield cluster.env.timeout(moments[-1])
        watching.interrupt()

    watching.callbacks.append(lambda _: setattr(watching, "defused", True))
    cluster.env.process(stop())
    demand = queueing.Demand(client=0, gateway=0.004, decode=0.01, triton=0.001, tasks=[[("tagger", 1)]])
    queueing.opened(cluster, demand, moments)
    rate = len(moments) / moments[-1]
    assert mean(seen) == pytest.approx(rate * mean(cluster.latencies), rel=0.02)


def test_work_is_conserved(queueing: SimpleNamespace) -> None:
    cluster = machine(queueing)
    queueing.closed(cluster, tags(queueing), 16, 20.0)
    (cores,) = {id(gateway.cores): gateway.cores for gateway in cluster.gateways}.values()
    done = len(cluster.latencies)
    assert cores.busy["gateway"] == pytest.approx(0.004 * done)
    assert cores.busy["decoders"] == pytest.approx(0.01 * done)
    assert cluster.engines[0].models["tagger"].rows == done
    total = sum(cores.busy.values())
    assert total <= 2 * cluster.env.now + 1e-6, "no more than the cores can"
    assert total == pytest.approx(2 * cluster.env.now, rel=0.02), "and with work for all of them, no less"


def test_cores_are_shared_equally_among_threads(queueing: SimpleNamespace) -> None:
    env = simpy.Environment()
    cores = queueing.Cores(env, 2)
    ended = {}
    for name, seconds, threads in (("alone", 1.0, 1), ("pair", 4.0, 2), ("late", 1.0, 1)):
        cores.work(seconds, name, threads).callbacks.append(lambda _, name=name: ended.setdefault(name, env.now))
    env.run()
    # Four threads on two cores: half speed each, until two of them end at 2 s; then each of the pair's two has a core.
    assert ended == pytest.approx({"alone": 2.0, "late": 2.0, "pair": 3.0})


def test_an_instance_takes_what_waits_urgent_first(queueing: SimpleNamespace) -> None:
    env = simpy.Environment()
    model = queueing.Batcher(env, queueing.Cores(env, 1), "tagger", queueing.Curve((1, 4), (1.0, 1.0)), 1, 4)
    ended: dict[str, float] = {}
    bulk = [f"bulk {number}" for number in range(5)]
    for name, priority in (("first", 2), *((each, 2) for each in bulk), ("urgent", 1)):
        model.infer(1, priority).callbacks.append(lambda _, name=name: ended.setdefault(name, env.now))
    env.run()
    assert ended == {"first": 1.0, "urgent": 2.0, **dict.fromkeys(bulk[:3], 2.0), **dict.fromkeys(bulk[3:], 3.0)}
    assert (model.batches, model.rows) == (3, 7)


def test_a_curve_between_and_beyond_what_was_measured(queueing: SimpleNamespace) -> None:
    curve = queueing.Curve((1, 4, 8), (1.0, 2.5, 5.0))
    assert [curve.at(rows) for rows in (1, 2, 4, 6, 8, 16)] == [1.0, 1.5, 2.5, 3.75, 5.0, 10.0]
