# SPDX-License-Identifier: Apache-2.0
"""What the project wants to reach, what of it is measured, and why the rest is out of reach: a table of docs/performance.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tables import EFFORTS, NOT_MEASURED, PARTS, number, results, table

_LOWER_PRECISION = (
    "tags, lower precision",
    "rate beside LitServe in FP32",
    "at least 1.6",
    "not measured",
    "no AMX or VNNI at hand",
)


@dataclass(frozen=True, slots=True)
class Aim:
    """What a release is to reach: `asked` at least, or at most. `why_not` is shown if it does not."""

    work: str
    measure: str
    asked: float
    reached: float
    why_not: str = ""
    most: bool = False

    @property
    def met(self) -> bool:
        return self.reached <= self.asked if self.most else self.reached >= self.asked

    @property
    def row(self) -> Sequence[str]:
        bound = f"{'at most' if self.most else 'at least'} {number(self.asked)}"
        return self.work, self.measure, bound, number(self.reached), "met" if self.met else self.why_not


def aims() -> str:
    """The aims of the project's own, what of each is reached, and why the others are not."""
    parts, way, memory = results("peers").get("parts", {}), results("way"), results("memory")
    if not (parts.keys() >= PARTS.keys() and way and memory and results("ocr_cost")):
        return NOT_MEASURED
    others = (*_aims_of_text(parts), *_other_aims(parts, way), *_aims_of_memory(memory.get("now") or memory["after"]))
    rows = [
        *(aim.row for aim in _aims_of_tags(parts["tags"]["rows"], way)),
        _LOWER_PRECISION,
        *(aim.row for aim in others),
    ]
    return table(["work", "measure", "aim", "reached", "why not"], rows)


def _of(rows: Sequence[Mapping[str, Any]], contender: str, load: str = "") -> Mapping[str, Any]:
    """The first row of a contender, at a load if one is named."""
    return next(row for row in rows if row["contender"] == contender and row["load"].startswith(load))


def _aims_of_tags(rows: Sequence[Mapping[str, Any]], way: Mapping[str, Any]) -> Sequence[Aim]:
    ours, theirs, ceiling = (_of(rows, name, "8 in") for name in ("imagier", "LitServe", "ceiling"))
    served = way["served_ms"]
    beside = (
        sum(served[name] for name in ("event loop", "gateway's other threads", "Triton")) - way["bare_ms"]["finish"]
    )
    between = f"gateway and Triton take {number(beside)} ms of CPU time beside decoding, model and tags"
    rates = (
        theirs["rate_ratio"] / ceiling["rate_ratio"],
        ceiling["pictures_per_second"] / theirs["pictures_per_second"],
    )
    whole = f"the same; the ceiling itself has {min(rates):.2f} to {max(rates):.2f} times its rate"
    turns = "four processes take turns on two cores, each with a part of the way; a worker of LitServe's goes all of it"
    return (
        Aim("tags, 8 in flight", "rate beside the ceiling", 0.85, ceiling["rate_ratio"], between),
        Aim("tags, 8 in flight", "rate beside LitServe", 1.1, theirs["rate_ratio"], whole),
        Aim("tags, 8 in flight", "p99 in ms, LitServe's at most", theirs["p99_ms"], ours["p99_ms"], turns, most=True),
    )


def _aims_of_text(parts: Mapping[str, Any]) -> Sequence[Aim]:
    costs = results("ocr_cost")["kinds"]
    small, large = (costs[f"photographs of {size}"] for size in ("640 x 480", "2048 x 1536"))
    seen, read = (
        number(small["balanced"][name] / small["RapidOCR"]["CPU seconds"]) for name in ("detector", "other models")
    )
    shapes = (
        f"on one thread, the detector on the picture as it is takes {seen} of RapidOCR's time, reading shapes {read}"
    )
    share = number(small["balanced"]["detector"] / small["balanced"]["CPU seconds"])
    same = f"the detector, the same network, takes {share} of our time on the picture as it is"
    fast, balanced = (f"{large[effort]['CPU seconds'] / large['RapidOCR']['CPU seconds']:.2f}" for effort in EFFORTS)
    glance = f"on one thread, a glance takes {fast} of RapidOCR's time; closer looks make it {balanced}"
    engine = "the same; OpenVINO is the faster engine for the detector"
    asked = (
        ("ocr-small", "RapidOCR", 0.3, shapes),
        ("ocr-small", "faster-paddle small", 0.4, same),
        ("ocr-small", "RapidOCR, OpenVINO", 0.7, engine),
        ("ocr-photographs", "RapidOCR", 0.25, glance),
        ("ocr-photographs", "RapidOCR, OpenVINO", 0.4, engine),
        ("ocr-receipts", "RapidOCR", 0.5, ""),
        ("ocr-receipts", "RapidOCR, OpenVINO", 0.9, ""),
    )
    return [
        Aim(_named(part), f"CPU time beside {peer}", most, _of(parts[part]["rows"], peer)["cpu_ratio"], why, most=True)
        for part, peer, most, why in asked
    ]


def _named(part: str) -> str:
    return PARTS[part][0].lower() + PARTS[part][1:]


def _other_aims(parts: Mapping[str, Any], way: Mapping[str, Any]) -> Sequence[Aim]:
    one, three = (_of(parts["together"]["rows"], name) for name in ("one request", "three requests"))
    apart = f"decoding is all that they share: {number(one['cpu_ms'])} ms beside {number(three['cpu_ms'])}"
    nothing = way["nothing"]["served_ms"]
    loop = f"gRPC's and asyncio's event loop takes {nothing['event loop']:.1f} of {sum(nothing.values()):.1f} ms"
    rate = _of(parts["front-end"]["rows"], "imagier")["pictures_per_second"]
    return (
        Aim("all three tasks", "CPU time of one request beside three", 0.75, three["cpu_ratio"], apart, most=True),
        Aim("a task that does nothing", "calls a second: a core; reached on two, with the callers", 1500, rate, loop),
    )


def _aims_of_memory(after: Mapping[str, Any]) -> Sequence[Aim]:
    most, detector = 1.2e9 / 2**20, max(after["right_after"]["by_process"]["text_detector"])
    idle = f"the detector's activations, {detector} MiB with its weights, go back after five idle seconds"
    return (
        Aim("a hundred mixed pictures", "MiB right after", most, after["right_after"]["total_mib"], idle, most=True),
        Aim("a hundred mixed pictures", "MiB 30 s later", most, after["after_30_s"]["total_mib"], idle, most=True),
        Aim("start", "s", 8, after["start"]["seconds"], most=True),
    )
