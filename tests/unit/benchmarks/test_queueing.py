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
SLICE = 0.1
"""Seconds of a turn on a core: short beside work of a second, so that cores are shared as the theory has it."""
TOLERANCE = 0.05
"""Of the mean of that many pictures: they wait for one another, and so are worth far fewer independent ones."""


@pytest.fixture(scope="module")
def queueing() -> SimpleNamespace:
    """The module, which is a script's neighbour and no package."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "queueing.py")))


def one_core(queueing: SimpleNamespace, decoders: int) -> SimpleNamespace:
    """A gateway that only decodes, on one core."""
    env = simpy.Environment()
    cores = queueing.Cores(env, 1, SLICE)
    gateway = queueing.Gateway(cores, simpy.Resource(env, 1), simpy.Resource(env, decoders))
    return queueing.Cluster(env, [gateway], [queueing.Engine(cores, {})])


def arrivals(dice: random.Random) -> list[float]:
    moments, moment = [], 0.0
    for _ in range(MANY):
        moment += dice.expovariate(RATE)
        moments.append(moment)
    return moments


def decoding(queueing: SimpleNamespace, seconds: float) -> object:
    return queueing.Demand(decode=seconds)


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
    queueing.opened(
        cluster,
        lambda: decoding(queueing, dice.expovariate(1.0) if random_work else 1.0),
        arrivals(random.Random(SEED)),
    )
    assert len(cluster.latencies) == MANY
    assert mean(cluster.latencies) == pytest.approx(expected, rel=TOLERANCE)


def machine(queueing: SimpleNamespace, cores: int = 2, tick: float = 0.004) -> SimpleNamespace:
    """Two cores for everything, and a model with two instances."""
    env = simpy.Environment()
    shared = queueing.Cores(env, cores, tick=tick)
    curve = queueing.Curve((1, 8), (0.02, 0.1))
    tagger = queueing.Batcher(env, shared, "tagger", curve, 2, 8)
    gateway = queueing.Gateway(shared, simpy.Resource(env, 1), simpy.Resource(env, cores))
    return queueing.Cluster(env, [gateway], [queueing.Engine(shared, {"tagger": tagger})], shared)


def tags(queueing: SimpleNamespace, caller: float = 0.001) -> object:
    return queueing.Demand(caller, loop=0.002, threads=0.002, decode=0.01, triton=0.001, tasks=[[("tagger", 1)]])


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
    queueing.opened(cluster, lambda: tags(queueing, caller=0), moments)
    rate = len(moments) / moments[-1]
    assert mean(seen) == pytest.approx(rate * mean(cluster.latencies), rel=0.02)


def test_work_is_conserved(queueing: SimpleNamespace) -> None:
    cluster = machine(queueing, tick=0.00001)  # an idle core finds at once what waits elsewhere
    queueing.closed(cluster, lambda: tags(queueing), 16, 20.0)
    (cores,) = {id(gateway.cores): gateway.cores for gateway in cluster.gateways}.values()
    done = len(cluster.latencies)
    assert cores.busy["locked"] == pytest.approx(0.002 * done)
    assert cores.busy["threads"] == pytest.approx(0.002 * done)
    assert cores.busy["decoders"] == pytest.approx(0.01 * done)
    total = sum(cores.busy.values())
    assert total <= 2 * cluster.env.now + 1e-6, "no more than the cores can"
    assert total == pytest.approx(2 * cluster.env.now, rel=0.02), "and with work for all of them, no less"


def ended(queueing: SimpleNamespace, cores: object, work: dict[str, tuple[float, bool]]) -> dict[str, float]:
    """When each ends that begins at once: seconds of work, and whether it is urgent."""
    found: dict[str, float] = {}
    for name, (seconds, urgent) in work.items():
        done = cores.work(seconds, name, urgent=urgent)
        done.callbacks.append(lambda _, name=name: found.setdefault(name, cores.env.now))
    cores.env.run()
    return found


def test_threads_take_turns_on_a_core(queueing: SimpleNamespace) -> None:
    cores = queueing.Cores(simpy.Environment(), 1, turn=1.0)
    work = {"long": (3.0, False), "short": (1.0, False), "urgent": (1.5, True)}
    # The urgent one is next at each turn's end; then the others in turn.
    assert ended(queueing, cores, work) == pytest.approx({"urgent": 2.5, "short": 3.5, "long": 5.5})


def test_others_take_a_part_of_every_core(queueing: SimpleNamespace) -> None:
    cores = queueing.Cores(simpy.Environment(), 1.5)
    assert ended(queueing, cores, {"one": (3.0, False), "two": (3.0, False)}) == pytest.approx({"one": 4.0, "two": 4.0})


def test_an_idle_core_takes_what_waits_elsewhere_at_its_next_tick(queueing: SimpleNamespace) -> None:
    env = simpy.Environment()
    cores = queueing.Cores(env, 2, turn=100.0, tick=4.0)
    work = {"first": (10.0, False), "second": (1.0, False), "third": (10.0, False)}
    found = ended(queueing, cores, work)
    # The third waits behind the first or the second. Core 0 looks at 4, 8, 12, core 1 at 2, 6, 10.
    assert found["third"] in {11.0, 12.0, 14.0}


def test_who_wakes_may_wait_at_a_busy_core_while_the_wakers_falls_idle(queueing: SimpleNamespace) -> None:
    waited = set()
    for seed in range(20):
        env = simpy.Environment()
        cores = queueing.Cores(env, 2, turn=100.0, tick=4.0, seed=seed)
        cores.work(50.0, "long")

        def chain(env: simpy.Environment = env, cores: object = cores) -> object:
            yield cores.work(1.0, "waker")
            yield cores.work(1.0, "woken")
            waited.add(env.now)

        env.process(chain())
        env.run()
    # At once on the waker's core, or from its next tick: core 0's is at 4, core 1's at 2.
    assert waited == {2.0, 3.0, 5.0}


def test_an_instance_takes_what_waits_urgent_first(queueing: SimpleNamespace) -> None:
    env = simpy.Environment()
    model = queueing.Batcher(env, queueing.Cores(env, 1), "tagger", queueing.Curve((1, 4), (1.0, 1.0)), 1, 4)
    ended: dict[str, float] = {}
    bulk = [f"bulk {number}" for number in range(5)]
    for name, priority in (("first", 2), *((each, 2) for each in bulk), ("urgent", 1)):
        model.infer(1, priority).callbacks.append(lambda _, name=name: ended.setdefault(name, env.now))
    env.run()
    expected = {"first": 1.0, "urgent": 2.0, **dict.fromkeys(bulk[:3], 2.0), **dict.fromkeys(bulk[3:], 3.0)}
    assert ended == pytest.approx(expected)


@pytest.mark.parametrize(("locked", "expected"), [(0.0, 1.0), (0.75, 1.75)])
def test_threads_that_hold_pythons_lock_wait_for_one_another(
    queueing: SimpleNamespace, locked: float, expected: float
) -> None:
    env = simpy.Environment()
    cores = queueing.Cores(env, 2)
    gateway = queueing.Gateway(cores, simpy.Resource(env, 1), simpy.Resource(env, 1))
    demand = queueing.Demand(threads=queueing.THREADS, locked=locked)
    env.run(env.all_of([env.process(gateway.thread(demand)) for _ in range(2)]))
    assert env.now == pytest.approx(expected)


def test_the_rows_of_a_batch_share_workers(queueing: SimpleNamespace) -> None:
    env = simpy.Environment()
    workers = simpy.Resource(env, 2)
    cores = queueing.Cores(env, 3)
    model = queueing.Batcher(env, cores, "tagger", queueing.Curve((1,), (1.0,)), 1, 4, workers)
    ended: list[float] = []
    for _ in range(5):
        model.infer(1).callbacks.append(lambda _: ended.append(env.now))
    env.run()
    # One alone; then four on two workers, two by two.
    assert ended == pytest.approx([1.0, 3.0, 3.0, 3.0, 3.0], abs=0.01)


def test_a_curve_between_and_beyond_what_was_measured(queueing: SimpleNamespace) -> None:
    curve = queueing.Curve((1, 4, 8), (1.0, 2.5, 5.0))
    assert [curve.at(rows) for rows in (1, 2, 4, 6, 8, 16)] == [1.0, 1.5, 2.5, 3.75, 5.0, 10.0]
