# SPDX-License-Identifier: Apache-2.0
"""A queueing network of our server for simpy: gateways, decoders, Triton's queues with dynamic batching and priorities, instances.

Work is CPU or GPU time, and takes turns on cores as threads do under Linux. All times are seconds.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np
import simpy

Process = Generator[simpy.Event, Any, None]

SLICE = 0.0014
"""Seconds for which a thread keeps its core while others wait: Linux's 0.7 ms, doubled on two cores (sched/fair.c, base slice)."""
TICK = 0.004
"""Seconds between two looks of an idle core for work that waits elsewhere: a tick at 250 Hz."""
LOOP, THREADS, TRITON = 5, 8, 5
"""In how many turns a picture takes its time of the event loop, of the gateway's other threads and of Triton's own process."""


@dataclass(eq=False)
class Job:
    """Work of one thread: seconds left, and the event of its end."""

    left: float
    urgent: bool
    done: simpy.Event


class Cores:
    """Cores, or one GPU, each with a queue of its own. `busy`: core-seconds so far, by what for; others take a part of `count`.

    As in Linux, threads of a core take turns, and who wakes goes to an idle core. The one that wakes it is still busy then; if all
    are, it waits at any of them, while the waker's may fall idle: an idle core looks for such work only at its next tick.
    A niceness of 5, which has a third of the share of 0, is played as standing behind it in the queue (`urgent` is 0).
    """

    def __init__(
        self, env: simpy.Environment, count: float, turn: float = SLICE, tick: float = TICK, seed: int = 0
    ) -> None:
        self.env, self.count = env, count
        self.busy: Counter[str] = Counter()
        self._places = range(ceil(count - 1e-9))
        self._speed = count / len(self._places)
        self._turn, self._tick = turn, tick
        self._dice = random.Random(seed)
        self._running: list[Job | None] = [None for _ in self._places]
        self._waiting: list[tuple[deque[Job], deque[Job]]] = [(deque(), deque()) for _ in self._places]
        self._ended = (-1, -1.0)  # the core on which a thread ended last, and when

    def work(self, seconds: float, kind: str, *, urgent: bool = False) -> simpy.Event:
        """Do so much work in one thread; the event is its end."""
        self.busy[kind] += seconds
        job = Job(seconds, urgent, self.env.event())
        if seconds <= 0:
            return job.done.succeed()
        waker = self._ended[0] if self._ended[1] == self.env.now else -1
        idle = [place for place in self._places if self._running[place] is None]
        elsewhere = [place for place in idle if place != waker]
        place = self._dice.choice(elsewhere or self._places)
        if place in idle:
            self._run(place, job)
        else:
            self._waiting[place][not urgent].append(job)
            for each in idle:  # the waker's
                self._look_later(each)
        return job.done

    def _run(self, place: int, job: Job) -> None:
        self._running[place] = job
        step = min(job.left, self._turn)
        job.left -= step
        self.env.timeout(step / self._speed).callbacks.append(lambda _: self._pause(place, job))

    def _pause(self, place: int, job: Job) -> None:
        self._running[place] = None
        if job.left > 1e-12:
            self._waiting[place][not job.urgent].append(job)
        else:
            self._ended = place, self.env.now
            job.done.succeed()
        if not self._take(place, place) and any(map(any, self._waiting)):
            self._look_later(place)

    def _look_later(self, place: int) -> None:
        shift = self._tick * place / len(self._places)  # the cores' ticks come at different times
        left = self._tick - (self.env.now + shift) % self._tick
        self.env.timeout(left).callbacks.append(lambda _: self._look(place))

    def _look(self, place: int) -> None:
        if self._running[place] is None:
            self._take(place, max(self._places, key=lambda each: sum(map(len, self._waiting[each]))))

    def _take(self, place: int, source: int) -> bool:
        waiting = next(filter(None, self._waiting[source]), None)
        if waiting:
            self._run(place, waiting.popleft())
        return bool(waiting)


@dataclass(frozen=True)
class Curve:
    """CPU or GPU seconds of a batch by its rows, linear between what was measured."""

    rows: Sequence[int]
    seconds: Sequence[float]

    def at(self, rows: float) -> float:
        if rows >= self.rows[-1]:
            return self.seconds[-1] * rows / self.rows[-1]
        return float(np.interp(rows, self.rows, self.seconds))


@dataclass
class Batcher:
    """A model in Triton: when an instance is free, it takes what waits, urgent first, up to `most` rows; no queue delay.

    A batch runs as a whole; with `workers`, which all instances share, row by row (config.pbtxt's `rows_per_run`).
    """

    env: simpy.Environment
    cores: Cores
    name: str
    curve: Curve
    instances: int
    most: int
    workers: simpy.Resource | None = None
    vary: Callable[[float], float] = float
    load: float = 0

    def __post_init__(self) -> None:
        self._waiting: dict[int, deque[tuple[float, simpy.Event]]] = {1: deque(), 2: deque()}
        self._free = self.instances

    def infer(self, rows: float, priority: int = 1) -> simpy.Event:
        """Queue a request; priority 1 goes before 2."""
        done = self.env.event()
        self._waiting[priority].append((rows, done))
        self.load += rows
        self._start()
        return done

    def _start(self) -> None:
        while self._free and any(self._waiting.values()):
            batch: list[tuple[float, simpy.Event]] = []
            for waiting in self._waiting.values():
                while waiting and (not batch or sum(r for r, _ in batch) + waiting[0][0] <= self.most):
                    batch.append(waiting.popleft())
            self._free -= 1
            self.env.process(self._run(batch))

    def _run(self, batch: Sequence[tuple[float, simpy.Event]]) -> Process:
        rows = sum(each for each, _ in batch)
        if self.workers and rows > 1:
            yield self.env.all_of([self.env.process(self._row(self.workers)) for _ in range(round(rows))])
        else:
            yield self.cores.work(self.vary(self.curve.at(rows)), self.name)
        self._free += 1
        self.load -= rows
        for _, done in batch:
            done.succeed()
        self._start()

    def _row(self, workers: simpy.Resource) -> Process:
        with workers.request() as turn:
            yield turn
            yield self.cores.work(self.vary(self.curve.at(1)), self.name)


@dataclass(frozen=True)
class Demand:
    """Seconds of one picture. `tasks` run at once; each asks models in turn, for so many rows. `locked`: share of `threads`."""

    caller: float = 0.0
    loop: float = 0.0
    threads: float = 0.0
    decode: float = 0.0
    triton: float = 0.0
    tasks: Sequence[Sequence[tuple[str, float]]] = ()
    locked: float = 0.0


@dataclass
class Gateway:
    """A process with one event loop and other threads under Python's lock, and decoder processes."""

    cores: Cores
    lock: simpy.Resource
    decoders: simpy.Resource
    load: int = 0

    def thread(self, demand: Demand, share: float = 1.0) -> Process:
        """A turn of one of the other threads."""
        seconds = share * demand.threads / THREADS
        if demand.locked:
            yield from self._hold(seconds * demand.locked)
        yield self.cores.work(seconds * (1 - demand.locked), "threads", urgent=True)

    def turn(self, demand: Demand, share: float = 1.0) -> Process:
        """A turn of the event loop."""
        yield from self._hold(share * demand.loop / LOOP)

    def _hold(self, seconds: float) -> Process:
        with self.lock.request() as mine:
            yield mine
            yield self.cores.work(seconds, "locked", urgent=True)


@dataclass
class Engine:
    """One Triton with its models; `cores` for what its server process does itself."""

    cores: Cores
    models: Mapping[str, Batcher]

    @property
    def load(self) -> float:
        """Rows that wait or run."""
        return sum(model.load for model in self.models.values())


@dataclass
class Cluster:
    """All of it. Callers take cores of `clients`, if there are any beside the servers."""

    env: simpy.Environment
    gateways: Sequence[Gateway]
    engines: Sequence[Engine]
    clients: Cores | None = None
    latencies: list[float] = field(default_factory=list)

    def picture(self, demand: Demand, priority: int = 1) -> Process:
        """The way of one picture, to the gateway with the fewest in it, and from there to the least loaded Triton."""
        started = self.env.now
        gateway = min(self.gateways, key=lambda each: each.load)
        gateway.load += 1
        if self.clients:
            yield self.clients.work(demand.caller / 2, "caller", urgent=True)
        yield from gateway.thread(demand)  # receives it
        yield from gateway.turn(demand)
        with gateway.decoders.request() as turn:
            yield turn
            yield from gateway.thread(demand)  # sends it
            yield gateway.cores.work(demand.decode, "decoders")
            yield from gateway.thread(demand)  # receives its pixels
        yield from gateway.turn(demand)
        tasks = [self._task(gateway, demand, task, priority) for task in demand.tasks]
        yield self.env.all_of([self.env.process(task) for task in tasks])
        yield from gateway.turn(demand)
        yield from gateway.thread(demand)  # answers
        if self.clients:
            yield self.clients.work(demand.caller / 2, "caller", urgent=True)
        gateway.load -= 1
        self.latencies.append(self.env.now - started)

    def _task(self, gateway: Gateway, demand: Demand, task: Sequence[tuple[str, float]], priority: int) -> Process:
        share = 1 / len(demand.tasks)
        engine = min(self.engines, key=lambda each: each.load)
        yield from gateway.thread(demand, share)  # prepares
        yield from gateway.turn(demand, share)
        yield from gateway.thread(demand, share)  # asks Triton
        for _ in range(TRITON // 2):
            yield engine.cores.work(share * demand.triton / TRITON, "tritonserver")  # receives it, and queues it
        for model, rows in task:
            yield engine.models[model].infer(rows, priority)
        for _ in range(TRITON - TRITON // 2):
            yield engine.cores.work(share * demand.triton / TRITON, "tritonserver")
        yield from gateway.thread(demand, share)  # hears its answer
        yield from gateway.turn(demand, share)
        yield from gateway.thread(demand, share)  # finishes


def closed(cluster: Cluster, demand: Callable[[], Demand], in_flight: int, seconds: float, priority: int = 1) -> None:
    """Keep so many pictures in flight, for so long, and answer them all. `demand` draws each one's."""

    def caller() -> Process:
        while cluster.env.now < seconds:
            yield cluster.env.process(cluster.picture(demand(), priority))

    cluster.env.run(cluster.env.all_of([cluster.env.process(caller()) for _ in range(in_flight)]))


def opened(cluster: Cluster, demand: Callable[[], Demand], arrivals: Sequence[float]) -> None:
    """Let pictures arrive at these moments, and answer them all. `demand` draws each one's."""

    def source() -> Process:
        for moment in arrivals:
            yield cluster.env.timeout(moment - cluster.env.now)
            cluster.env.process(cluster.picture(demand()))

    cluster.env.process(source())
    cluster.env.run()
