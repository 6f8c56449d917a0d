# SPDX-License-Identifier: Apache-2.0
"""Writes the tables of docs/performance.md and docs/scale.md out of the results; plots.py draws.

A table lies between two comments that name it; everything else on the pages is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from aims import aims
from tables import EFFORTS, NOT_MEASURED, PARTS, RESULTS, ROOT, number, results, table

OURS = {"imagier", "one request"}


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
