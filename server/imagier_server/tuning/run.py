# SPDX-License-Identifier: Apache-2.0
"""`imagier tune` from the installed models to the folder that it writes."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata, util
from pathlib import Path
from tempfile import TemporaryDirectory

from imagier_server import embedded
from imagier_server.cores import usable_cores
from imagier_server.golden import Asked, packed
from imagier_server.metrics import Metrics
from imagier_server.model_lock import read_lock
from imagier_server.overlay import GOLDEN, Way, read_way, with_way
from imagier_server.triton import TritonEngine
from imagier_server.tuning.choice import Figures, best, engines, splits
from imagier_server.tuning.measuring import measure
from imagier_server.tuning.workload import needed, record
from imagier_server.warm_up import read_warm_up

CPU_INFO = Path("/proc/cpuinfo")
REPORT = "tune.json"
EVERY = 4
"""Of the requests that a model is compared by, one of so many is compared again at each start, which they must not lengthen."""
VECTORS = (
    "avx2",
    "avx512f",
    "avx_vnni",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
)


class TuneError(ValueError):
    """What cannot be tuned."""


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured of a model, and the way that is taken. `asked`: what it answers as installed."""

    installed: Way
    chosen: Figures
    measured: Sequence[Figures]
    asked: Sequence[Asked] = ()


async def run(
    repository: Path, wanted: Sequence[str], seconds: float, say: Callable[[str], None]
) -> Mapping[str, Result]:
    """Measure the models wanted (none: all that are installed), one after the other. `say` is told each figure as it comes.

    Raises `TuneError`, `EmbeddedError`, `ModelLockError`, `ImagierError`.
    """
    installed = read_lock(repository)
    if unknown := sorted(set(wanted) - installed.keys()):
        raise TuneError(f"no model {', '.join(unknown)} is installed in {repository}")
    if not installed:
        raise TuneError(f"no models in {repository}: run `imagier models install` first")
    say(
        f"{len(wanted or installed)} models on {usable_cores()} cores; a few seconds for each way. Let nothing else run."
    )
    asked = await _asked(repository, wanted or list(installed), installed, say)
    return {model: await _tuned(repository, model, asked[model], seconds, say) for model in wanted or installed}


async def _asked(
    repository: Path, wanted: Sequence[str], installed: Collection[str], say: Callable[[str], None]
) -> Mapping[str, Sequence[Asked]]:
    models = needed(repository, wanted, installed)
    quick = {model: read_warm_up(repository / model / "config.pbtxt").quick_config for model in models}
    async with embedded.start(repository, models=models, on_progress=say, configs=quick) as triton:
        engine = TritonEngine(triton.grpc_address, {}, Metrics())
        try:
            asked = await record(repository, wanted, models, engine)
        finally:
            await engine.close()
    if without := sorted(set(wanted) - asked.keys()):
        raise TuneError(f"nothing is known to ask of {', '.join(without)}: its config.pbtxt warms nothing up")
    return asked


async def _tuned(
    repository: Path, model: str, asked: Sequence[Asked], seconds: float, say: Callable[[str], None]
) -> Result:
    own = read_way((repository / model / "config.pbtxt").read_text("utf-8"))
    measured: list[Figures] = []

    async def try_all(ways: Sequence[Way]) -> None:
        for way in ways:
            measured.append(await measure(repository, model, way, asked, seconds))
            say(f"{model}: {_line(measured[-1])}")

    await try_all(engines(own, flags(), openvino=util.find_spec("openvino") is not None))
    await try_all(splits(best(measured, own).way, usable_cores()))
    return Result(own, best(measured, own), measured, asked)


def flags() -> list[str]:
    """Of the processor's flags, those that decide how fast a model runs."""
    known = CPU_INFO.read_text("utf-8", "replace").split() if CPU_INFO.exists() else []
    return [flag for flag in VECTORS if flag in known]


def report(results: Mapping[str, Result]) -> str:
    """A table of what is installed and what is taken."""
    rows: list[tuple[str, ...]] = [("model", "runs best with", "requests/s", "installed", "alone ms", "installed")]
    for model, result in results.items():
        own = next((each for each in result.measured if each.way == result.installed), Figures(result.installed))
        way = str(result.chosen.way) if result.chosen.way != result.installed else f"{result.installed}, as installed"
        numbers = (result.chosen.per_second, own.per_second, result.chosen.alone_ms, own.alone_ms)
        rows.append((model, way, *(f"{number:.1f}" for number in numbers)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells))
    return "\n".join(lines)


def _line(figures: Figures) -> str:
    found = figures.fault or f"{figures.per_second:.1f} requests/s, {figures.alone_ms:.1f} ms alone"
    return f"{figures.way}: {found}"


def write(folder: Path, repository: Path, results: Mapping[str, Result], seconds: float) -> None:
    """Put the overlay in place of an older one of these models, whose others stay: a config.pbtxt where one differs, and REPORT.

    Beside the config of a model on another engine, or in another precision, lie golden answers.

    Raises `OSError`.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as place:
        made = Path(place) / "overlay"
        if folder.is_dir():
            shutil.copytree(folder, made)
        made.mkdir(exist_ok=True)
        for model, result in results.items():
            shutil.rmtree(made / model, ignore_errors=True)
            if result.chosen.way != result.installed:
                config = (repository / model / "config.pbtxt").read_text("utf-8")
                (made / model).mkdir()
                (made / model / "config.pbtxt").write_text(_headed(with_way(config, result.chosen.way)), "utf-8")
            if _computes_otherwise(result):
                (made / model / GOLDEN).write_bytes(packed(result.asked[::EVERY]))
        found = _record(made / REPORT, results, seconds)
        (made / REPORT).write_text(json.dumps(found, indent=2) + "\n", "utf-8")
        if folder.is_dir():
            folder.rename(Path(place) / "old")
        made.rename(folder)


def _computes_otherwise(result: Result) -> bool:
    """Whether its answers may differ from the installed model's: instances and threads change none."""
    ways = (result.chosen.way, result.installed)
    return len({(each.accelerator, each.precision) for each in ways}) > 1


def _headed(config: str) -> str:
    return f"# Written by `imagier tune`; docs/models.md says what of it is used.\n{config}"


def _figures(result: Result) -> dict[str, object]:
    found = asdict(replace(result, asked=()))
    del found["asked"]
    return found


def _record(path: Path, results: Mapping[str, Result], seconds: float) -> dict[str, object]:
    before = json.loads(path.read_text("utf-8"))["models"] if path.is_file() else {}
    versions = {name: metadata.version(name) for name in ("imagier", "openvino") if util.find_spec(name)}
    machine = {"cores": usable_cores(), "flags": flags(), "versions": versions}
    stamp = {"date": time.strftime("%Y-%m-%d"), "seconds": seconds, "machine": machine}
    return {"models": before | {model: stamp | _figures(result) for model, result in results.items()}}
