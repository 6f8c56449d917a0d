# SPDX-License-Identifier: Apache-2.0
"""The engines that the settings choose: the embedded Triton, supervised, or those at addresses, followed as they change."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from imagier_server import embedded, overlay
from imagier_server.embedded import EmbeddedTriton
from imagier_server.engines.addresses import Resolver, following, parse
from imagier_server.engines.budget import RetryBudget
from imagier_server.engines.pool import Engines
from imagier_server.golden import Known
from imagier_server.logs import log
from imagier_server.metrics import Metrics
from imagier_server.model_lock import LockedModel
from imagier_server.settings import Settings
from imagier_server.supervision.supervisor import Supervisor
from imagier_server.triton import TritonEngine
from imagier_server.warm_up import read_warm_up

Connect = Callable[[str], TritonEngine]

EMBEDDED = "embedded"
GPU = Path("/dev/nvidiactl")


@asynccontextmanager
async def chosen_engines(
    settings: Settings,
    models: Mapping[str, LockedModel],
    metrics: Metrics,
    headers: Callable[[], tuple[tuple[str, str], ...]],
    golden: Mapping[str, Sequence[Known]],
) -> AsyncIterator[Engines]:
    """Keep the engines connected during the block. `headers` go along with each inference; `golden` answers by model."""
    place = settings.model_repository, settings.model_overlay
    tuned = overlay.tuned(*place, models) if settings.engine == EMBEDDED else {}
    known: dict[str, Sequence[Known]] = dict(golden)
    for model, asked in overlay.golden(*place, tuned).items():
        known[model] = (*known.get(model, ()), *asked)

    def connect(address: str) -> TritonEngine:
        return TritonEngine(address, models, metrics, headers, known, returns_ids=settings.engine == EMBEDDED)

    supervisor = _supervisor(settings, tuple(models), tuned, connect, metrics) if settings.engine == EMBEDDED else None
    # A picture has a few inferences in flight, all of which may be on the engine that dies.
    budget = RetryBudget(settings.engine_retry_percent, burst=4 * settings.in_flight)
    async with (
        Engines(models, supervisor.connect if supervisor else connect, budget, metrics) as engines,
        _addresses(settings, supervisor, engines),
    ):
        yield engines


def _addresses(
    settings: Settings, supervisor: Supervisor | None, engines: Engines
) -> AbstractAsyncContextManager[None]:
    if supervisor:
        return supervisor.running(engines.set_addresses)
    return following(
        Resolver(parse(settings.engine)),
        engines.set_addresses,
        seconds=settings.engine_resolve_seconds,
        again=engines.re_resolve,
    )


def _supervisor(
    settings: Settings, models: Sequence[str], tuned: Mapping[str, str], connect: Connect, metrics: Metrics
) -> Supervisor:
    def progress(text: str) -> None:
        log(logging.INFO, "engine", progress=text)

    repository = settings.model_repository

    def start(configs: Mapping[str, str]) -> AbstractAsyncContextManager[EmbeddedTriton]:
        return embedded.start(repository, settings.engine_log_dir, models, progress, configs={**tuned, **configs})

    return Supervisor(
        start,
        {model: read_warm_up(repository / model / "config.pbtxt", tuned.get(model)) for model in models},
        connect,
        metrics,
        # On a CPU a shape's first request is as fast as the next. On a GPU it waits until the best way to compute it is found.
        every_shape=GPU.exists(),
    )
