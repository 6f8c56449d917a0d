# SPDX-License-Identifier: Apache-2.0
"""Writes the tables of docs/performance.md and docs/scale.md out of the results; plots.py draws.

A table lies between two comments that name it; everything else on the pages is written by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
OURS = {"imagier", "one request"}
NOT_MEASURED = "Not measured yet."
EFFORTS = ("fast", "balanced")
PARTS = {
    "tags": "Tags of a 3-megapixel JPEG",
    "latency": "The same, arriving at random",
    "caption": "Captions of the same JPEG",
    "ocr-receipts": "Text of receipts",
    "ocr-pages": "Text of printed pages",
    "ocr-photographs": "Photographs of 3 megapixels without text",
    "ocr-small": "Photographs of 640 × 480",
    "ocr-signs": "Photographs with text",
    "ocr-library": "A library's pictures, mixed",
    "together": "Tags, text and caption of a library's pictures",
    "front-end": "A task that does nothing",
}


def results(name: str) -> dict[str, Any]:
    """A file of results; empty if it has not been measured."""
    path = RESULTS / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def number(value: float | None) -> str:
    """Three digits that count; nothing where nothing was measured."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def peers() -> str:
    """The tables of all parts that were measured, each with its machine, and where a peer is ahead."""
    parts = results("peers").get("parts", {})
    blocks = []
    for name, title in PARTS.items():
        if name not in parts:
            blocks.append(f"**{title}**: not measured yet.")
            continue
        part = parts[name]
        text = name.startswith("ocr-")
        head = ["load", "", "pictures/s", "CPU ms", "p50 ms", "p99 ms", "memory MiB", "our rate ÷ its", "our CPU ÷ its"]
        head += ["characters"] if text else []
        rows = []
        for row in part["rows"]:
            own = row["contender"] in OURS
            cells = [row["load"], f"**{row['contender']}**" if own else row["contender"]]
            cells += [number(row[key]) for key in ("pictures_per_second", "cpu_ms", "p50_ms", "p99_ms", "peak_mib")]
            cells += ["", ""] if own else [number(row["rate_ratio"]), number(row["cpu_ratio"])]
            cells += [str(row["characters"])] if text else []
            rows.append(cells)
        busy = sorted(row["others"] for row in part["rows"] if row["contender"] != "ceiling")
        where = f"{part['machine']['cores']} cores ({', '.join(part['machine']['flags'])}), {part['date']}"
        quiet = f"other programs kept {busy[0]:.1f} to {busy[-1]:.1f} cores busy"
        rounds = f"medians of at most {part['rounds']} rounds"
        blocks.append(f"**{title}** · {where}, {rounds}; {quiet}\n\n{table(head, rows)}\n\n{ahead(part['rows'])}")
    return "\n\n".join(blocks)


def ahead(rows: Sequence[Mapping[str, Any]]) -> str:
    """Says which peer does better than we do, and by how much. The ceiling and Triton alone do less work: they are no peers."""
    said = []
    for row in rows:
        if row["contender"] in OURS or row["contender"] in {"ceiling", "Triton alone", "three requests"}:
            continue
        open_loop = "a second" in row["load"]
        if row["rate_ratio"] < 1 and not open_loop:
            said.append(f"{row['contender']} ({row['load']}) has {number(1 / row['rate_ratio'])} times our rate")
        if row["cpu_ratio"] > 1:
            said.append(f"{row['contender']} ({row['load']}) takes {number(1 / row['cpu_ratio'])} of our CPU time")
    return f"*A peer is ahead:* {'; '.join(said)}." if said else "*No peer is ahead.*"


def validation() -> str:
    """Simulated latencies beside the measured ones."""
    loads = results("scale").get("comparison", {}).get("loads", {})
    if not loads:
        return NOT_MEASURED
    head = [
        "load",
        "pictures/s",
        "simulated",
        "mean ms",
        "simulated",
        "p50 ms",
        "simulated",
        "p95 ms",
        "simulated",
        "furthest off",
    ]
    rows = []
    for name, each in loads.items():
        cells: list[object] = [name]
        for key in ("pictures_per_second", "mean_ms", "p50_ms", "p95_ms"):
            cells += [number(each["measured"][key]), number(each["simulated"][key])]
        worst = max(each["off_by"].values(), key=abs)
        rows.append([*cells, f"{worst:+.0%}".replace("%", " %")])
    return table(head, rows)


def library() -> str:
    """25 million photographs on ten cores and two GPUs."""
    found = results("scale").get("library", {})
    if not found:
        return NOT_MEASURED
    head = [
        "tasks",
        "pictures/s",
        "25 million take",
        "12 hours take cores",
        "and GPUs",
        "saturated first",
        "busy: cores",
        "gateways' Python",
        "GPUs",
    ]
    names = {"tags": "tags", "caption": "captions", "ocr": "text", "all": "all three"}
    rows = [
        [
            names[work],
            number(each["pictures_per_second"]),
            f"{number(each['hours'])} h",
            number(each["cores_for_12_hours"]),
            number(each["gpus_for_12_hours"]),
            each["first"],
            *(f"{each['busy'][key]:.2f}" for key in ("cores", "Python", "gpus")),
        ]
        for work, each in found.items()
    ]
    return table(head, rows)


def growth() -> str:
    """What gateways and GPUs bring."""
    found = [each for each in results("scale").get("growth", []) if each["gateways"] in {1, 4, 16, 32}]
    if not found:
        return NOT_MEASURED
    head = ["tasks", "gateways", "GPUs", "pictures/s", "saturated first", "core hours a million", "GPU hours a million"]
    keys = (
        "work",
        "gateways",
        "gpus",
        "pictures_per_second",
        "first",
        "core_hours_per_million",
        "gpu_hours_per_million",
    )
    return table(
        head, [[number(each[key]) if isinstance(each[key], float) else each[key] for key in keys] for each in found]
    )


def throughput() -> str:
    """The table of throughput.py."""
    return (RESULTS / "throughput.md").read_text("utf-8").rstrip()


def way() -> str:
    """Where the CPU time of a tagged picture goes, without and with a server."""
    found = results("way")
    if not found:
        return NOT_MEASURED
    bare, served = found["bare_ms"], found["served_ms"]
    pairs = {
        "decoding": (bare["decode"], "decoders", served["decoders"]),
        "the model": (bare["prepare"] + bare["run"], "model's processes", served["model's processes"]),
        "tags of its scores": (bare["finish"], "gateway's other threads", served["gateway's other threads"]),
    }
    nothing = found["nothing"]["served_ms"]
    rows = [
        [step, f"{alone:.1f}", name, f"{ours:.1f}", f"{nothing[name]:.2f}"]
        for step, (alone, name, ours) in pairs.items()
    ]
    rows += [
        ["", "", name, f"{served[name]:.1f}", f"{nothing[name]:.2f}"] for name in ("event loop", "Triton", "caller")
    ]
    sums = (sum(bare.values()), sum(served.values()), sum(nothing.values()))
    rows.append(["**sum**", f"{sums[0]:.1f}", "", f"{sums[1]:.1f}", f"{sums[2]:.2f}"])
    return table(["bare", "CPU ms", "served", "CPU ms", "a task that does nothing"], rows)


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
    rows = [aim.row for aim in (*_aims_of_tags(parts["tags"]["rows"], way), *_aims_of_text(parts))]
    rows.insert(
        3,
        (
            "tags, lower precision",
            "rate beside LitServe in FP32",
            "at least 1.6",
            "not measured",
            "no AMX or VNNI at hand",
        ),
    )
    rows += [aim.row for aim in (*_other_aims(parts, way), *_aims_of_memory(memory.get("now") or memory["after"]))]
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


def text() -> str:
    """What text costs, by how hard we look, and what it is made of."""
    found = results("ocr_cost").get("kinds", {})
    head = ["CPU seconds a picture", "RapidOCR", "effort", "ours", "of RapidOCR's", "detector", "its megapixels"]
    head += ["other models", "our own code and decoding"]
    rows = []
    for kind, each in found.items():
        for effort in EFFORTS:
            made = each[effort]
            share = made["of RapidOCR's"]
            parts = (made["detector"], made["other models"])
            cells = [kind, number(each["RapidOCR"]["CPU seconds"]), effort, number(made["CPU seconds"])]
            cells += [f"{share:.2f}", number(parts[0]), number(made["megapixels"]), number(parts[1])]
            rows.append([*cells, number(made["CPU seconds"] - sum(parts))])
    return table(head, rows)


TABLES: Mapping[str, tuple[str, Callable[[], str]]] = {
    "throughput": ("performance", throughput),
    "way": ("performance", way),
    "aims": ("performance", aims),
    "text": ("performance", text),
    "peers": ("performance", peers),
    "validation": ("scale", validation),
    "library": ("scale", library),
    "growth": ("scale", growth),
}


def filled(page: str, text: str) -> str:
    """The page with its tables in place."""
    for name, (of, made) in TABLES.items():
        if of == page:
            pattern = rf"(<!-- {name}: [^>]* -->\n).*?(<!-- end of {name} -->)"
            text, places = re.subn(
                pattern, lambda found, made=made: f"{found[1]}{made()}\n{found[2]}", text, flags=re.DOTALL
            )
            if places != 1:
                raise SystemExit(f"docs/{page}.md has {places} places for {name}")
    return text


def main() -> None:
    """Write the tables of both pages."""
    for page in {of for of, _ in TABLES.values()}:
        path = ROOT / "docs" / f"{page}.md"
        path.write_text(filled(page, path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
