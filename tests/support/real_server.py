# SPDX-License-Identifier: Apache-2.0
"""Starts the real thing for a test: `imagier serve` with the embedded Triton and the exported models."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from imagier_server.model_lock import LOCK_NAME, read_lock, write_lock_text
from imagier_server.warm_up import read_warm_up
from PIL import Image

ROOT = Path(__file__).parents[2]
REPOSITORY = ROOT / "model_repository"
PATIENCE_SECONDS = 600
"""For an answer: a machine may be busy with other work. The server's own deadline, of a minute, would end it."""


@dataclass(frozen=True)
class Server:
    """A running `imagier serve`."""

    process: subprocess.Popen[bytes]
    address: str
    metrics_port: int
    log: Path
    engine_logs: Path

    @property
    def family(self) -> list[psutil.Process]:
        """The gateway, its decoders, its Triton and Triton's own processes."""
        gateway = psutil.Process(self.process.pid)
        return [gateway, *gateway.children(recursive=True)]

    @property
    def http(self) -> str:
        """HOST:PORT of its HTTP door, as the log says."""
        lines = map(json.loads, self.log.read_text(encoding="utf-8").splitlines())
        return str(next(line["http"] for line in lines if line["event"] == "serving"))

    @property
    def triton_metrics(self) -> str:
        """HOST:PORT where its Triton tells its metrics, as the log says: that of the last one started."""
        return re.findall(r"embedded Triton .*metrics ([\d.]+:\d+)", self.log.read_text(encoding="utf-8"))[-1]


def called(name: str, processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those of the processes whose program has `name` in its own. One that has ended meanwhile is none of them."""
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if name in process.name():
                found.append(process)
    return found


def samples(address: str) -> dict[str, float]:
    """Every sample that /metrics at HOST:PORT tells, by its line: name{label="value",…}."""
    with urllib.request.urlopen(f"http://{address}/metrics") as answer:
        rows = (row.rsplit(" ", 1) for row in answer.read().decode().splitlines() if not row.startswith("#"))
        return {line: float(value) for line, value in rows}


def cold(folder: Path, *, without: Sequence[str] = (), sample: bool = False) -> Path:
    """The model repository with nothing warmed up, so that it starts in half the time; `without` some models, if wanted.

    With a `sample`, the smallest of each model's warm-up stays, by which the server proves it.
    """
    installed = read_lock(REPOSITORY)
    for role in installed:
        (folder / role).mkdir(parents=True)
        config = (REPOSITORY / role / "config.pbtxt").read_text("utf-8").split("model_warmup")[0]
        if sample:
            config = read_warm_up(REPOSITORY / role / "config.pbtxt").quick_config
        (folder / role / "config.pbtxt").write_text(config, "utf-8")
        for part in ("assets", *(() if role in without else ("1",))):
            if (REPOSITORY / role / part).exists():
                (folder / role / part).symlink_to(REPOSITORY / role / part)
    remaining = {role: model for role, model in installed.items() if role not in without}
    (folder / LOCK_NAME).write_text(write_lock_text(remaining), "utf-8")
    return folder


@contextmanager
def serve(folder: Path, metrics_port: int, *extra: str) -> Iterator[Server]:
    """Starts a server of its own; logs go to `folder`. Stops it if the test has not done so."""
    read, write = os.pipe()
    log, engine_logs = folder / "gateway.log", folder / "engine"
    command = [sys.executable, "-m", "imagier_client.cli", "serve", "--port", "0", "--metrics-port", str(metrics_port)]
    command += [
        "--model-repository",
        str(REPOSITORY),
        "--ready-fd",
        str(write),
        "--engine-log-dir",
        str(engine_logs),
        "--deadline-seconds",
        str(PATIENCE_SECONDS),
        *extra,
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, pass_fds=[write], stderr=output, stdout=output)
    os.close(write)
    try:
        with os.fdopen(read) as ready:
            address = ready.readline().strip()
        assert address, log.read_text(encoding="utf-8")
        yield Server(process, address, metrics_port, log, engine_logs)
    finally:
        process.terminate()
        process.wait(60)


def encoded(picture: np.ndarray | Image.Image, fmt: str = "PNG") -> bytes:
    """A picture file of an array (height, width[, 3]) or an image."""
    file = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(file, fmt)
    return file.getvalue()
