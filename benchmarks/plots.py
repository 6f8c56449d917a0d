# SPDX-License-Identifier: Apache-2.0
"""Draws the plots of docs/performance.md and docs/scale.md out of peers.json and scale.json, as SVG that is the same each time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import matplotlib as mpl
from figures import ROOT, results
from matplotlib.axes import Axes
from matplotlib.figure import Figure

IMAGES = ROOT / "docs" / "images"
COLOURS = {
    "imagier": "#3949ab",
    "ceiling": "#9e9e9e",
    "Triton alone": "#bdbdbd",
    "LitServe": "#ef6c00",
    "RapidOCR": "#00897b",
    "RapidOCR, OpenVINO": "#80cbc4",
    "faster-paddle small": "#8e24aa",
    "faster-paddle tiny": "#ce93d8",
}


def draw_tags(axes: Axes) -> None:
    """Tags: CPU time by load and contender, which other programs disturb less than the rate."""
    rows = results("peers")["parts"]["tags"]["rows"]
    loads = sorted({row["load"] for row in rows}, key=lambda load: int(load.split()[0]))
    names = [name for name in COLOURS if any(row["contender"] == name for row in rows)]
    for place, name in enumerate(names):
        heights = {row["load"]: row["cpu_ms"] for row in rows if row["contender"] == name}
        xs = [index + (place - len(names) / 2 + 0.5) * 0.2 for index, load in enumerate(loads) if load in heights]
        axes.bar(xs, [heights[load] for load in loads if load in heights], 0.18, label=name, color=COLOURS[name])
    axes.set_xticks(range(len(loads)), loads)
    axes.set_ylabel("CPU ms a tagged picture")
    axes.legend()


def draw_latencies(axes: Axes) -> None:
    """Latency at random arrivals."""
    rows = results("peers")["parts"]["latency"]["rows"]
    for name in dict.fromkeys(row["contender"] for row in rows):
        own = [row for row in rows if row["contender"] == name]
        loads = [row["load"].split(":")[0] for row in own]
        for key, style in (("p50_ms", "-"), ("p99_ms", "--")):
            axes.plot(
                loads, [row[key] for row in own], style, marker="o", label=f"{name}, {key[:3]}", color=COLOURS[name]
            )
    axes.set_ylabel("latency, ms")
    axes.set_ylim(bottom=0)
    axes.legend()


def draw_text(axes: Axes) -> None:
    """CPU seconds a picture by set and library."""
    parts = {name: part for name, part in results("peers")["parts"].items() if name.startswith("ocr-")}
    if not parts:
        raise KeyError("ocr")
    for place, name in enumerate(each for each in COLOURS if each not in {"ceiling", "Triton alone", "LitServe"}):
        cpu = [next(row["cpu_ms"] for row in part["rows"] if row["contender"] == name) / 1e3 for part in parts.values()]
        axes.bar(
            [index + (place - 2) * 0.16 for index in range(len(parts))], cpu, 0.15, label=name, color=COLOURS[name]
        )
    axes.set_xticks(range(len(parts)), [name.removeprefix("ocr-") for name in parts])
    axes.set_ylabel("CPU seconds a picture")
    axes.legend()


def draw_validation(axes: Axes) -> None:
    """Measured and simulated latencies."""
    loads = results("scale")["comparison"]["loads"]
    for key, marker in (("p50_ms", "o"), ("p95_ms", "s")):
        for kind, colour in (("measured", "#9e9e9e"), ("simulated", "#3949ab")):
            values = [each[kind][key] for each in loads.values()]
            axes.plot(list(loads), values, marker, label=f"{kind}, {key[:3]}", color=colour)
    axes.set_yscale("log")
    axes.set_ylabel("latency, ms")
    axes.tick_params(axis="x", rotation=20)
    axes.legend()


def draw_growth(axes: Axes) -> None:
    """Pictures a second by gateways, a line for each number of GPUs."""
    found = results("scale")["growth"]
    for work, style in (("tags", "-"), ("all", "--")):
        for gpus, colour in ((1, "#9fa8da"), (2, "#3949ab"), (4, "#1a237e")):
            own = [each for each in found if each["work"] == work and each["gpus"] == gpus]
            label = f"{'all three' if work == 'all' else work}, {gpus} GPU{'s' * (gpus > 1)}"
            rates = [each["pictures_per_second"] for each in own]
            axes.plot([each["gateways"] for each in own], rates, style, marker="o", label=label, color=colour)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlabel("gateways of two cores")
    axes.set_ylabel("pictures a second (simulated)")
    axes.legend()


PLOTS: Mapping[str, Callable[[Axes], None]] = {
    "peers-tags": draw_tags,
    "peers-latency": draw_latencies,
    "peers-text": draw_text,
    "scale-latency": draw_validation,
    "scale-growth": draw_growth,
}


def main() -> None:
    """Draw what has been measured."""
    # The same file each time; letters stay letters.
    mpl.rcParams.update(
        {"svg.hashsalt": "imagier", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}
    )
    for name, draw in PLOTS.items():
        figure = Figure((7, 3.6), layout="constrained")
        try:
            draw(figure.add_subplot())
        except KeyError:
            print(f"{name}: not measured")
            continue
        figure.savefig(IMAGES / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
