# SPDX-License-Identifier: Apache-2.0
"""One comparison of `make bench`: contenders run in turn, round after round, and what counts is the median over the rounds.

A ratio is the median of the ratios within each round: a machine that becomes slower makes both slower.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import psutil
from contenders import Contender
from loads import Meter, Send, family

OURS = "imagier"


@dataclass(frozen=True)
class Sample:
    """One turn. Milliseconds are for one picture; `others`: cores that anything else on the machine kept busy."""

    pictures_per_second: float
    latencies: Sequence[float]
    cpu_ms: float
    client_cpu_ms: float
    peak_mib: float
    others: float
    characters: int | None = None


@dataclass(frozen=True)
class Row:
    """A line of a table. `rate_ratio` and `cpu_ratio`: ours divided by this contender's."""

    work: str
    load: str
    contender: str
    pictures_per_second: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    cpu_ms: float
    client_cpu_ms: float
    peak_mib: float
    others: float
    rate_ratio: float
    cpu_ratio: float
    characters: int | None = None


Run = Callable[[], Awaitable[Sample]]
"""One turn of one contender."""
Load = Callable[[Sequence[Send]], Awaitable[Sequence[float]]]
"""Sends requests; returns the latencies in seconds."""


def turn(contender: Contender, paths: Sequence[Path], load: Load) -> Run:
    """A turn of `contender` with these pictures under that load."""
    sends = contender.sends(paths)

    async def run() -> Sample:
        with awake(contender), Meter(contender.processes) as meter:
            before = len(contender.read)
            latencies = await load(sends)
        count = len(latencies)
        return Sample(
            count / meter.seconds,
            latencies,
            meter.cpu / count * 1e3,
            meter.client_cpu / count * 1e3,
            meter.peak_mib,
            meter.others,
            sum(contender.read[before:]) if contender.read else None,
        )

    return run


@contextmanager
def awake(contender: Contender) -> Iterator[None]:
    """Let a contender run that is otherwise stopped: some poll while they wait, and would slow the others."""
    try:
        if contender.restless:
            _each(contender, psutil.Process.resume)
        yield
    finally:
        if contender.restless:
            _each(contender, psutil.Process.suspend)


def _each(contender: Contender, do: Callable[[psutil.Process], None]) -> None:
    for process in family(contender.processes):
        with suppress(psutil.NoSuchProcess):
            do(process)


async def compare(runs: Mapping[str, Run], rounds: int, *, warm: bool = False) -> dict[str, list[Sample]]:
    """Run each in turn, once to warm up unless it is `warm`, and then `rounds` times, each round in another order."""
    found: dict[str, list[Sample]] = {name: [] for name in runs}
    names = list(runs)
    for number in range(0 if warm else -1, rounds):
        order = names[number % len(names) :] + names[: number % len(names)]
        for name in order:
            sample = await runs[name]()
            if number >= 0:
                found[name].append(sample)
    return found


def rows(work: str, load: str, found: Mapping[str, Sequence[Sample]], base: str = OURS) -> list[Row]:
    """Medians over the rounds; latencies of all rounds together, peaks of all. Ratios are of `base`."""
    made = []
    for name, samples in found.items():
        latencies = [each * 1e3 for sample in samples for each in sample.latencies]
        p50, p95, p99 = (
            (round(float(each), 1) for each in np.percentile(latencies, [50, 95, 99])) if latencies else (None,) * 3
        )
        pairs = list(zip(found[base], samples, strict=True))
        row = Row(
            work,
            load,
            name,
            round(median(s.pictures_per_second for s in samples), 2),
            p50,
            p95,
            p99,
            round(median(s.cpu_ms for s in samples), 2),
            round(median(s.client_cpu_ms for s in samples), 2),
            round(max(s.peak_mib for s in samples)),
            round(median(s.others for s in samples), 2),
            round(median(a.pictures_per_second / b.pictures_per_second for a, b in pairs), 3),
            round(median(a.cpu_ms / b.cpu_ms for a, b in pairs), 3),
            samples[0].characters,
        )
        print(f"  {row}", file=sys.stderr)
        made.append(row)
    return made
