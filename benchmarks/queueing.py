# SPDX-License-Identifier: Apache-2.0
"""A queueing network of our server for simpy: gateways, decoders, Triton's queues with dynamic batching and priorities, instances.

Work is CPU or GPU time, and whatever runs at once shares the cores: processor sharing, as Linux does among threads (Kleinrock,
Queueing Systems II, 1976, ch. 4). All times are seconds.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import simpy

Process = Generator[simpy.Event, Any, None]


class Cores:
    """Cores, or one GPU, that all work on them shares equally. `busy`: core-seconds spent so far, by what for."""

    def __init__(self, env: simpy.Environment, count: float) -> None:
        self.env, self.count = env, count
        self.busy: Counter[str] = Counter()
        # Each job advances with its threads times one speed, so jobs end in the order of what `progress` must reach.
        self._progress = self._since = 0.0
        self._threads = 0.0
        self._jobs: list[tuple[float, int, float, simpy.Event]] = []
        self._number = itertools.count()
        self._alarm = 0

    def work(self, seconds: float, kind: str, threads: float = 1.0) -> simpy.Event:
        """Do so much work on at most `threads` cores at once; the event happens when it is done."""
        self.busy[kind] += seconds
        done = self.env.event()
        if seconds <= 0:
            return done.succeed()
        self._advance()
        self._threads += threads
        heapq.heappush(self._jobs, (self._progress + seconds / threads, next(self._number), threads, done))
        self._set_alarm()
        return done

    def _speed(self) -> float:
        return min(1.0, self.count / self._threads) if self._threads else 0.0

    def _advance(self) -> None:
        self._progress += (self.env.now - self._since) * self._speed()
        self._since = self.env.now

    def _set_alarm(self) -> None:
        self._alarm += 1
        if self._jobs:
            left = max(0.0, self._jobs[0][0] - self._progress) / self._speed()
            alarm = self.env.timeout(left, self._alarm)
            alarm.callbacks.append(self._ring)

    def _ring(self, alarm: simpy.Event) -> None:
        if alarm.value != self._alarm:
            return  # something has begun or ended since
        self._advance()
        # The first has ended, whatever rounding says, and all that ended with it.
        reached = max(self._progress, self._jobs[0][0]) + 1e-12
        while self._jobs and self._jobs[0][0] <= reached:
            _, _, threads, done = heapq.heappop(self._jobs)
            self._threads -= threads
            done.succeed()
        if not self._jobs:
            self._threads = 0.0
        self._set_alarm()


@dataclass(frozen=True)
class Curve:
    """CPU or GPU seconds of a batch by its rows, linear between what was measured; `threads` that it keeps busy alone."""

    rows: Sequence[int]
    seconds: Sequence[float]
    threads: float = 1.0

    def at(self, rows: float) -> float:
        """Seconds of a batch of so many rows."""
        if rows >= self.rows[-1] or len(self.rows) == 1:
            return self.seconds[-1] * rows / self.rows[-1]
        right = max(1, bisect.bisect_left(self.rows, rows))
        (x0, x1), (y0, y1) = self.rows[right - 1 : right + 1], self.seconds[right - 1 : right + 1]
        return y0 + (y1 - y0) * (rows - x0) / (x1 - x0)


@dataclass
class Batcher:
    """A model in Triton: when an instance is free, it takes what waits, urgent first, up to `most` rows; no queue delay."""

    env: simpy.Environment
    cores: Cores
    name: str
    curve: Curve
    instances: int
    most: int
    batches: int = 0
    rows: float = 0
    load: float = 0

    def __post_init__(self) -> None:
        self._waiting: dict[int, deque[tuple[float, simpy.Event]]] = {1: deque(), 2: deque()}
        self._free = self.instances

    def infer(self, rows: float, priority: int = 1) -> simpy.Event:
        """Queue a request of so many rows; priority 1 goes before 2."""
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
        self.batches += 1
        self.rows += rows
        yield self.cores.work(self.curve.at(rows), self.name, self.curve.threads)
        self._free += 1
        self.load -= rows
        for _, done in batch:
            done.succeed()
        self._start()


@dataclass(frozen=True)
class Demand:
    """What one picture needs, in seconds. `tasks` run at once; each asks models in turn, for so many rows."""

    client: float
    gateway: float
    decode: float
    triton: float
    tasks: Sequence[Sequence[tuple[str, float]]]
    hand_over: float = 0.0


@dataclass
class Gateway:
    """One gateway: a process with one event loop, and decoder processes."""

    cores: Cores
    loop: simpy.Resource
    decoders: simpy.Resource
    load: int = 0


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
    arrived: list[float] = field(default_factory=list)

    def picture(self, demand: Demand, priority: int = 1) -> Process:
        """The way of one picture, to the gateway with the fewest in it, and from there to the least loaded Triton."""
        started = self.env.now
        if self.clients:
            yield self.clients.work(demand.client, "client")
        gateway = min(self.gateways, key=lambda each: each.load)
        gateway.load += 1
        yield from self._loop(gateway, demand.gateway / 2)
        with gateway.decoders.request() as turn:
            yield turn
            yield gateway.cores.work(demand.decode, "decoders")
        engine = min(self.engines, key=lambda each: each.load)
        yield engine.cores.work(demand.triton, "tritonserver")
        yield self.env.all_of([self.env.process(self._task(engine, task, priority)) for task in demand.tasks])
        yield from self._loop(gateway, demand.gateway / 2)
        gateway.load -= 1
        if demand.hand_over:
            yield self.env.timeout(demand.hand_over)
        self.arrived.append(started)
        self.latencies.append(self.env.now - started)

    @staticmethod
    def _loop(gateway: Gateway, seconds: float) -> Process:
        with gateway.loop.request() as turn:
            yield turn
            yield gateway.cores.work(seconds, "gateway")

    @staticmethod
    def _task(engine: Engine, task: Sequence[tuple[str, float]], priority: int) -> Process:
        for model, rows in task:
            yield engine.models[model].infer(rows, priority)


def closed(cluster: Cluster, demand: Demand, in_flight: int, seconds: float, priority: int = 1) -> None:
    """Keep so many pictures in flight, for so long."""

    def caller() -> Process:
        while cluster.env.now < seconds:
            yield cluster.env.process(cluster.picture(demand, priority))

    callers = [cluster.env.process(caller()) for _ in range(in_flight)]
    cluster.env.run(cluster.env.all_of(callers))


def opened(cluster: Cluster, demand: Demand | Callable[[], Demand], arrivals: Sequence[float]) -> None:
    """Let pictures arrive at these moments, and answer them all. A function draws each one's demand."""

    def source() -> Process:
        for moment in arrivals:
            yield cluster.env.timeout(moment - cluster.env.now)
            cluster.env.process(cluster.picture(demand() if callable(demand) else demand))

    cluster.env.process(source())
    cluster.env.run()
