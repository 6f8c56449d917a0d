# SPDX-License-Identifier: Apache-2.0
"""The requests that models are measured with: those that three example pictures cause, and what the installed models answer."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np

from imagier_server.call import CallContext, Lane, Transport
from imagier_server.cores import usable_cores
from imagier_server.decode.decoder import decode, load_codecs
from imagier_server.decode.formats import sniff
from imagier_server.decode.refusals import Caps
from imagier_server.golden import Asked
from imagier_server.messages import Picture, Tensors
from imagier_server.metrics import Metrics
from imagier_server.steps import Engine, TaskSteps
from imagier_server.tasks import registry
from imagier_server.tasks.embedding.golden import read_golden
from imagier_server.tasks.task import Task
from imagier_server.timings import Timings
from imagier_server.transport.codecs.registry import codecs
from imagier_server.warm_up import read_warm_up

PICTURES: Final = ("receipt.webp", "street-sign.webp", "tea-house.webp")
"""Those of the page: our own drawings, with text in several scripts."""
MOST: Final = 8
"""Requests of a model, evenly chosen by size."""
PATIENCE_SECONDS: Final = 300.0


def a_call() -> CallContext:
    """A caller who waits for minutes: a machine may be slow."""
    return CallContext(Transport.GRPC, Lane.INTERACTIVE, deadline=asyncio.get_running_loop().time() + PATIENCE_SECONDS)


@dataclass(frozen=True, slots=True)
class _Recorder:
    """An engine that keeps what it is asked."""

    engine: Engine
    asked: dict[str, list[Asked]] = field(default_factory=dict)

    async def infer(self, model: str, inputs: Tensors, call: CallContext) -> Tensors:
        outputs = await self.engine.infer(model, inputs, call)
        self.asked.setdefault(model, []).append(Asked(inputs, outputs))
        return outputs


def needed(repository: Path, wanted: Collection[str], installed: Collection[str]) -> list[str]:
    """The models that must run to find the requests of those wanted: they, and the others of their tasks.

    Raises `ModelLockError` for missing assets.
    """
    tasks = _tasks(registry.load(repository), wanted, installed)
    return sorted({*wanted, *(model for task in tasks for model in task.models)})


def _tasks(
    tasks: Mapping[str, Task[Any, Any]], wanted: Collection[str], there: Collection[str]
) -> list[Task[Any, Any]]:
    """Those that use a model wanted, and whose models are all there."""
    return [task for task in tasks.values() if set(task.models) & set(wanted) and set(task.models) <= set(there)]


async def record(
    repository: Path, wanted: Collection[str], running: Collection[str], engine: Engine
) -> Mapping[str, Sequence[Asked]]:
    """The requests by model wanted, at most MOST: of the example pictures' tasks, else golden ones, else the smallest sample.

    Raises `ImagierError` if a model fails, `ModelLockError` for missing assets.
    """
    recorder = _Recorder(engine)
    tasks = registry.load(repository)
    load_codecs()
    folder = files("imagier_server") / "transport/http/page/examples"
    with ThreadPoolExecutor(usable_cores()) as threads:
        for task in _tasks(tasks, wanted, running):
            codec = codecs()[task.name]
            options = codec.read(codec.options())  # all as the server's defaults
            for name in PICTURES:
                picture = _picture((folder / name).read_bytes(), task)
                steps = TaskSteps(task.name, a_call(), Timings(), recorder, threads, Metrics())
                await task.run(picture, options, ("en",), steps)
    golden = read_golden(repository, tasks)
    for model in set(wanted) - recorder.asked.keys():
        samples = [each.inputs for each in golden.get(model, ())]
        samples = samples or [read_warm_up(repository / model / "config.pbtxt").sample]
        for inputs in filter(None, samples):
            await recorder.infer(model, inputs, a_call())
    return {model: typical(asked) for model, asked in recorder.asked.items() if model in wanted}


def _picture(image: bytes, task: Task[Any, Any]) -> Picture:
    decoded = decode(image, sniff(image), Caps(1 << 28, 1 << 16), task.scale)
    return Picture(np.asarray(decoded.picture), decoded.width, decoded.height)


def typical(asked: Sequence[Asked]) -> list[Asked]:
    """At most MOST of them, from the smallest to the largest."""
    ordered = sorted(asked, key=lambda each: sum(tensor.nbytes for tensor in each.inputs.values()))
    places = np.linspace(0, len(ordered) - 1, min(MOST, len(ordered))).round().astype(int)
    return [ordered[place] for place in places]
