# SPDX-License-Identifier: Apache-2.0
"""Restarts the embedded Triton when it exits or one of its models fails.

Triton 2.51 can reload a single model, but not safely if one of its processes died with a request in flight: the unload never ends
and leaks threads and memory, and may crash Triton. A restart takes as long, because it warms up only the minimum.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress

from imagier_server import embedded
from imagier_server.embedded import EmbeddedError, EmbeddedTriton, model_processes
from imagier_server.logs import log
from imagier_server.metrics import Metrics
from imagier_server.outcomes import RestartReason
from imagier_server.supervision.liveness import Engine, Liveness, WatchedEngine, first_of
from imagier_server.warm_up import WarmUp

FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 1.0, 60.0
SOUND_SECONDS = 30.0
"""Run time after which a restart is immediate."""
TOGETHER_SECONDS = 0.25
"""Within which a Triton ends whose model process was seen to end first."""
RESTART_SECONDS = 300.0
"""A restart that takes longer counts as hung."""

Start = Callable[[Mapping[str, str]], AbstractAsyncContextManager[EmbeddedTriton]]
"""Run Triton during the `async with`, with these configs instead of the models' own."""


class Supervisor:
    """The supervisor of one embedded Triton. `connect` makes the engine at an address.

    The first start warms up `every_shape`, or only each model's smallest, as later ones do.
    """

    def __init__(
        self,
        start: Start,
        warm_ups: Mapping[str, WarmUp],
        connect: Callable[[str], Engine],
        metrics: Metrics,
        *,
        every_shape: bool = False,
    ) -> None:
        self._start = start
        self._warm_ups = warm_ups
        self._connect = connect
        self._metrics = metrics
        self._every_shape = every_shape
        self._liveness = Liveness(warm_ups)

    def connect(self, address: str) -> WatchedEngine:
        """Connect to an address, with the answers observed by the supervisor."""
        return self._liveness.watched(self._connect(address))

    @asynccontextmanager
    async def running(self, use: Callable[[Collection[str]], None]) -> AsyncIterator[None]:
        """Call `use` with Triton's address when every model is ready, and with none while Triton is down.

        Raises as the first start does. Later starts are retried without limit, with exponential backoff.
        """
        started = asyncio.get_running_loop().create_future()
        keeper = asyncio.create_task(self._keep(use, started))
        try:
            await started
            yield
        finally:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper

    async def _keep(self, use: Callable[[Collection[str]], None], started: asyncio.Future[None]) -> None:
        in_a_row = 0
        quick = {name: warm_up.quick_config for name, warm_up in self._warm_ups.items()}
        configs = {} if self._every_shape else quick
        while True:
            began = _now()
            try:
                model, reason = await self._serve(use, started, configs)
            except Exception as error:  # noqa: BLE001 - a full disk as well as Triton itself
                if not started.done():
                    started.set_exception(error)
                    return
                log(logging.ERROR, "the embedded Triton did not start", **_what(error))
                model, reason = "", RestartReason.NOT_STARTED
            self._metrics.engine_restarts.labels(reason.value).inc()
            in_a_row = (
                0 if _now() - began >= SOUND_SECONDS and reason is not RestartReason.NOT_STARTED else in_a_row + 1
            )
            seconds = backoff_seconds(in_a_row)
            log(
                logging.ERROR,
                "the embedded Triton is started again",
                reason=reason.value,
                model=model,
                in_a_row=in_a_row,
                seconds=round(seconds, 1),
            )
            await asyncio.sleep(seconds)
            # A restart skips most of the warm-up, because callers wait for it.
            configs = quick

    async def _serve(
        self, use: Callable[[Collection[str]], None], started: asyncio.Future[None], configs: Mapping[str, str]
    ) -> tuple[str, RestartReason]:
        """Run Triton until it has a fault."""
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(RESTART_SECONDS if started.done() else None):
                triton = await stack.enter_async_context(self._start(configs))
            processes = model_processes.find(triton.pid)
            self._liveness = Liveness(self._warm_ups)
            probed = self._connect(triton.grpc_address)
            stack.push_async_callback(probed.close)
            use({triton.grpc_address})
            if not started.done():
                started.set_result(None)
            try:
                model, reason = await first_of(_ended(triton), _lost(triton, processes), self._liveness.fault(probed))
            finally:
                use(())
            if reason is RestartReason.OUT_OF_STEP and model_processes.stopped(processes, model):
                reason = RestartReason.PROCESS_STOPPED  # which Triton noticed first
            triton.kill()  # at once: a hung process does not exit by itself, and callers wait for the restart
            return model, reason


def backoff_seconds(in_a_row: int) -> float:
    """Seconds to wait after a number of failed starts: exponential, with up to half subtracted as jitter."""
    if not in_a_row:
        return 0.0
    longest = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(in_a_row - 1, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads several gateways


async def _ended(triton: EmbeddedTriton) -> tuple[str, RestartReason]:
    status = await triton.wait()
    log(logging.ERROR, "the embedded Triton ended", reason=embedded.reason(status), last_words=triton.last_words())
    return "", RestartReason.ENDED


async def _lost(triton: EmbeddedTriton, processes: Mapping[int, str]) -> tuple[str, RestartReason]:
    loss = await model_processes.lost(triton.pid, processes)
    try:
        async with asyncio.timeout(TOGETHER_SECONDS):
            await triton.wait()
    except TimeoutError:
        pass
    else:
        # The processes of a Triton that ends end with it: `_ended` says why.
        await asyncio.get_running_loop().create_future()
    stopped = loss.end is model_processes.End.STOPPED
    if not loss.model:
        return "", RestartReason.STOPPED
    return loss.model, RestartReason.PROCESS_STOPPED if stopped else RestartReason.PROCESS_ENDED


def _what(error: Exception) -> dict[str, str]:
    """Describe a start's error; neither Triton's start-up log nor a file error holds picture data."""
    text = str(error) if isinstance(error, EmbeddedError | OSError) else ""
    return {"error": type(error).__name__, "text": text}


def _now() -> float:
    return asyncio.get_running_loop().time()
